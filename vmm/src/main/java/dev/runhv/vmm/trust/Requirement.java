package dev.runhv.vmm.trust;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Json;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Set;

/** What a policy demands of an image (containers-policy.json(5), "Policy Requirements"). */
sealed interface Requirement {
    record InsecureAcceptAnything() implements Requirement {}

    record Reject() implements Requirement {}

    /**
     * A signature as cosign makes it.
     *
     * @param keyPaths files of one public key each, read when an image is looked at
     * @param keys of the policy itself, PEM
     */
    record SigstoreSigned(List<Path> keyPaths, List<byte[]> keys, SignedIdentity identity) implements Requirement {}

    /**
     * Known to containers, but not verified here: whatever it is demanded of is refused.
     *
     * @param what in the policy's words
     */
    record Unsupported(String what) implements Requirement {}

    Set<String> SIGSTORE_SIGNED = Set.of("type", "keyPath", "keyPaths", "keyData", "keyDatas", "signedIdentity");
    /** Members of sigstoreSigned for certificates and logs. */
    List<String> NOT_VERIFIED = List.of(
            "fulcio", "pki", "rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas");

    static Requirement parse(Json json) throws CorruptInputException {
        String type = json.string("type");
        return switch (type) {
            case "insecureAcceptAnything" -> {
                json.requireOnly(Set.of("type"));
                yield new InsecureAcceptAnything();
            }
            case "reject" -> {
                json.requireOnly(Set.of("type"));
                yield new Reject();
            }
            case "sigstoreSigned" -> sigstoreSigned(json);
            case "signedBy", "signedBaseLayer" -> new Unsupported(type);
            default -> throw new CorruptInputException("The type of a requirement is unknown: \"" + type + "\"");
        };
    }

    private static Requirement sigstoreSigned(Json json) throws CorruptInputException {
        for (String member : NOT_VERIFIED) {
            if (json.has(member)) {
                return new Unsupported("sigstoreSigned with " + member);
            }
        }
        json.requireOnly(SIGSTORE_SIGNED);
        List<Path> paths = new ArrayList<>();
        List<byte[]> keys = new ArrayList<>();
        int sources = 0;
        for (String member : List.of("keyPath", "keyPaths", "keyData", "keyDatas")) {
            if (!json.has(member)) {
                continue;
            }
            sources++;
            List<String> texts = member.endsWith("s") ? json.strings(member) : List.of(json.string(member));
            for (String text : texts) {
                if (member.startsWith("keyPath")) {
                    paths.add(absolute(text));
                } else {
                    keys.add(decoded(text));
                }
            }
        }
        if (sources != 1 || paths.isEmpty() && keys.isEmpty()) {
            throw new CorruptInputException(
                    "sigstoreSigned: expected one of keyPath, keyPaths, keyData and keyDatas, with a key");
        }
        SignedIdentity identity = json.has("signedIdentity")
                ? SignedIdentity.parse(json.object("signedIdentity"))
                : new SignedIdentity.MatchRepoDigestOrExact();
        return new SigstoreSigned(List.copyOf(paths), List.copyOf(keys), identity);
    }

    /** The image service works in a folder of its own: what is relative would be another file there. */
    private static Path absolute(String text) throws CorruptInputException {
        try {
            Path path = Path.of(text);
            if (path.isAbsolute()) {
                return path;
            }
        } catch (InvalidPathException e) {
            throw new CorruptInputException("sigstoreSigned: no path on this system: " + e.getMessage(), e);
        }
        throw new CorruptInputException("sigstoreSigned: expected an absolute path, not \"" + text + "\"");
    }

    private static byte[] decoded(String text) throws CorruptInputException {
        try {
            return Base64.getDecoder().decode(text);
        } catch (IllegalArgumentException e) {
            throw new CorruptInputException("sigstoreSigned: a key is not base64: " + e.getMessage(), e);
        }
    }
}
