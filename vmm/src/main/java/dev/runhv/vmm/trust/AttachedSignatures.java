package dev.runhv.vmm.trust;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.registry.RegistryClient;
import java.io.IOException;
import java.nio.file.Path;
import java.security.PublicKey;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Optional;

/** The signatures that lie beside an image in its repository. Asked for when they are needed, once. */
final class AttachedSignatures {
    private final Reference image;
    private final Digest manifest;
    private List<Signed> found; // null until they are needed

    /** @param signature base64, or anything */
    record Signed(byte[] payload, String signature) {}

    AttachedSignatures(Reference image, Digest manifest) {
        this.image = image;
        this.manifest = manifest;
    }

    /** @return empty where one of them is what is required, else what is wrong with each */
    List<String> refusals(Requirement.SigstoreSigned required) throws IOException, InterruptedException {
        List<PublicKey> keys = keys(required);
        List<Signed> signatures = signatures();
        if (signatures.isEmpty()) {
            return List.of("It asks for a signature, and there is none: no " + image.registry() + "/"
                    + image.repository() + ":" + SignatureManifest.tag(manifest));
        }
        List<String> refusals = new ArrayList<>();
        for (Signed signature : signatures) {
            Optional<String> refusal = refusal(signature, keys, required.identity(), image, manifest);
            if (refusal.isEmpty()) {
                return List.of();
            }
            if (!refusals.contains(refusal.get())) {
                refusals.add(refusal.get());
            }
        }
        return refusals;
    }

    /** Nothing of what is signed is looked at before it is known by whom. */
    static Optional<String> refusal(
            Signed signed, List<PublicKey> keys, SignedIdentity identity, Reference image, Digest manifest) {
        byte[] signature;
        try {
            signature = Base64.getDecoder().decode(signed.signature);
        } catch (IllegalArgumentException e) {
            return Optional.of("A signature is not base64");
        }
        if (keys.stream().noneMatch(key -> PublicKeys.verifies(key, signed.payload, signature))) {
            return Optional.of("A signature is by another key, or of other content");
        }
        SigstorePayload payload;
        try {
            payload = SigstorePayload.parse(signed.payload);
        } catch (CorruptInputException e) {
            return Optional.of("What is signed cannot be used: " + e.getMessage());
        }
        if (!payload.manifest().equals(manifest)) {
            return Optional.of("A signature is for " + payload.manifest() + ", not for " + manifest);
        }
        if (!identity.accepts(image, payload.name())) {
            return Optional.of("A signature is for the name \"" + payload.name() + "\"");
        }
        return Optional.empty();
    }

    private static List<PublicKey> keys(Requirement.SigstoreSigned required) {
        List<PublicKey> keys = new ArrayList<>();
        for (byte[] pem : required.keys()) {
            try {
                keys.add(PublicKeys.parse(pem));
            } catch (CorruptInputException e) {
                throw Failures.of("read the public key of the signature policy", e);
            }
        }
        for (Path path : required.keyPaths()) {
            keys.add(PublicKeys.read(path));
        }
        return keys;
    }

    private List<Signed> signatures() throws IOException, InterruptedException {
        if (found == null) {
            Reference tag = new Reference(
                    image.registry(), image.repository(), SignatureManifest.tag(manifest), Optional.empty());
            try (RegistryClient client = new RegistryClient(tag)) {
                found = signatures(client);
            }
        }
        return found;
    }

    private static List<Signed> signatures(RegistryClient client) throws IOException, InterruptedException {
        RegistryClient.Found manifest;
        try {
            manifest = client.manifest();
        } catch (RunhvException e) {
            if (e.code() == ErrorCode.NOT_FOUND) {
                return List.of();
            }
            throw e;
        }
        List<Signed> signatures = new ArrayList<>();
        for (SignatureManifest.Entry entry :
                SignatureManifest.parse(manifest.text()).entries()) {
            signatures.add(new Signed(client.blob(entry.payload(), entry.size()), entry.signature()));
        }
        return List.copyOf(signatures);
    }
}
