package dev.runhv.vmm.store;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.image.Descriptor;
import dev.runhv.vmm.image.StoredImage;
import dev.runhv.vmm.registry.Reference;
import java.util.Optional;

/**
 * A name in the store and the image that it means.
 *
 * @param target a manifest, or an index of manifests
 * @param content empty where the store cannot read it: damaged, or not for this machine
 */
public record Image(Reference name, Descriptor target, Optional<StoredImage> content) {
    /** That of its configuration, in docker's words; of an image that cannot be read that of its target. */
    public Digest id() {
        return content.map(StoredImage::id).orElse(target.digest());
    }

    /** @throws RunhvException with {@code CORRUPT_INPUT} where the store cannot read it */
    public StoredImage readable() {
        return content.orElseThrow(() -> Failures.corrupt(
                "read image " + name,
                "It cannot be read, or is not for linux/amd64; runhv verify says what is damaged"));
    }
}
