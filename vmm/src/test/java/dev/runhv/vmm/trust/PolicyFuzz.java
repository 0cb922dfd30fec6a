package dev.runhv.vmm.trust;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.registry.Reference;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** policy.json: it demands something of every image, or it is refused. */
public final class PolicyFuzz {
    private PolicyFuzz() {}

    public static void fuzzerTestOneInput(byte[] data) {
        SignaturePolicy policy;
        try {
            policy = SignaturePolicy.parse("here", data);
        } catch (CorruptInputException e) {
            return;
        }
        Reference image = Reference.parse("a.example.com:5000/x/y:1");
        if (policy.of("docker", SignaturePolicy.scopes(image)).isEmpty()
                || policy.of("tarball", List.of()).isEmpty()) {
            throw new AssertionError("Nothing is demanded of an image");
        }
        for (Requirement requirement : policy.of("docker", SignaturePolicy.scopes(image))) {
            if (requirement instanceof Requirement.SigstoreSigned signed) {
                if (signed.keyPaths().isEmpty() && signed.keys().isEmpty()) {
                    throw new AssertionError("A signature without a key");
                }
                signed.identity().accepts(image, new String(data, StandardCharsets.ISO_8859_1));
            }
        }
    }
}
