package dev.runhv.vmm.image;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.registry.Reference;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * What of a named image leaves the store: all that an index lists where all of it is there, else the image for one platform.
 *
 * @param top the index or the manifest
 * @param blobs all that the top reaches, each behind what it names
 * @param manifest of the image for the platform
 * @param whole whether the top is what the name means
 */
record SentImage(Reference name, Descriptor top, List<Descriptor> blobs, Manifest manifest, boolean whole) {
    /**
     * @param platform that alone is wanted; empty: whatever is there, and among it one for linux/amd64
     * @throws RunhvException where the store does not have it, or not for the platform, or it is damaged
     */
    static SentImage find(String operation, Path store, Reference name, Optional<Platform> platform)
            throws IOException {
        Descriptor target = new NamedImages(store)
                .find(name)
                .orElseThrow(() -> Failures.notFound(operation, "The store does not have it: runhv pull " + name));
        ImageFiles files = new ImageFiles.Directory(store.resolve("registry"));
        Platform wanted = platform.orElse(Platform.HERE);
        OciReader.Resolved chosen = new OciReader(operation, files, wanted).resolve(List.of(target));
        if (platform.isPresent()) {
            ImageContents.requireFit(
                    operation, wanted, chosen.config(), chosen.image().layers().size());
        }
        ImageBlobs all = ImageBlobs.of(operation, files, platform.isPresent() ? chosen.manifest() : target);
        if (all.whole()) {
            boolean whole = target.digest().equals(all.blobs().getLast().digest());
            return new SentImage(name, all.blobs().getLast(), all.blobs(), chosen.image(), whole);
        }
        ImageBlobs one = ImageBlobs.of(operation, files, chosen.manifest());
        return new SentImage(name, chosen.manifest(), one.blobs(), chosen.image(), false);
    }
}
