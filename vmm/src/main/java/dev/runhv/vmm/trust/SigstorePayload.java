package dev.runhv.vmm.trust;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Json;
import java.util.Set;

/**
 * What a signature of cosign is over: containers' "simple signing" document, with a type of its own.
 *
 * @param manifest the image that was signed
 * @param name what it was called then
 */
record SigstorePayload(Digest manifest, String name) {
    private static final String TYPE = "cosign container image signature";

    /** As strict as containers' own reader: who signed has meant all that it says. */
    static SigstorePayload parse(byte[] text) throws CorruptInputException {
        Json json = Json.parse(text);
        json.requireOnly(Set.of("critical", "optional"));
        json.objectOrEmpty("optional");
        Json critical = json.object("critical");
        critical.requireOnly(Set.of("type", "image", "identity"));
        String type = critical.string("type");
        if (!type.equals(TYPE)) {
            throw new CorruptInputException("It is no signature of an image, but \"" + type + "\"");
        }
        Json image = critical.object("image");
        image.requireOnly(Set.of("docker-manifest-digest"));
        Json identity = critical.object("identity");
        identity.requireOnly(Set.of("docker-reference"));
        return new SigstorePayload(
                Digest.parse(image.string("docker-manifest-digest")), identity.string("docker-reference"));
    }
}
