package dev.runhv.vmm.content;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Locale;
import java.util.Objects;

/**
 * The digest of some content, as {@code sha256:4355…}. A value of this type is always well formed.
 *
 * @param hex lower case, as long as the algorithm demands
 */
public record Digest(Algorithm algorithm, String hex) {
    /** OCI image 1.1 descriptor.md#registered-algorithms. */
    public enum Algorithm {
        SHA256("SHA-256", 64),
        SHA512("SHA-512", 128);

        private final String standardName;
        private final int hexLength;

        Algorithm(String standardName, int hexLength) {
            this.standardName = standardName;
            this.hexLength = hexLength;
        }

        public MessageDigest newMessageDigest() {
            try {
                return MessageDigest.getInstance(standardName);
            } catch (NoSuchAlgorithmException e) {
                throw new IllegalStateException("This Java has no " + standardName, e);
            }
        }
    }

    public Digest {
        Objects.requireNonNull(algorithm);
        if (hex.length() != algorithm.hexLength || !isLowerHex(hex)) {
            throw new IllegalArgumentException("Not a digest: " + hex);
        }
    }

    /** @throws CorruptInputException when the text is no digest, or one of an algorithm that runhv does not know */
    public static Digest parse(String text) throws CorruptInputException {
        int colon = text.indexOf(':');
        String name = colon < 0 ? "" : text.substring(0, colon);
        String hex = text.substring(colon + 1);
        for (Algorithm algorithm : Algorithm.values()) {
            if (name.equals(algorithm.name().toLowerCase(Locale.ROOT))) {
                if (hex.length() != algorithm.hexLength || !isLowerHex(hex)) {
                    throw new CorruptInputException(
                            "%s is no digest: expected %d lower case hexadecimal digits after %s:"
                                    .formatted(abbreviated(text), algorithm.hexLength, name));
                }
                return new Digest(algorithm, hex);
            }
        }
        throw new CorruptInputException("%s is no digest: expected sha256:… or sha512:…".formatted(abbreviated(text)));
    }

    public static Digest of(Algorithm algorithm, MessageDigest finished) {
        return new Digest(algorithm, HexFormat.of().formatHex(finished.digest()));
    }

    public static Digest sha256(byte[] content) {
        MessageDigest sha256 = Algorithm.SHA256.newMessageDigest();
        sha256.update(content);
        return of(Algorithm.SHA256, sha256);
    }

    /** Of what a file of any size holds. */
    public static Digest sha256(Path file) throws IOException {
        MessageDigest sha256 = Algorithm.SHA256.newMessageDigest();
        byte[] buffer = new byte[1 << 16];
        try (InputStream in = Files.newInputStream(file)) {
            for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
                sha256.update(buffer, 0, read);
            }
        }
        return of(Algorithm.SHA256, sha256);
    }

    // By hand: what a record has for these is made at run time, while a person waits
    // (docs/adr/0043-json-by-gsons-tokens.md).

    @Override
    public boolean equals(Object other) {
        return other instanceof Digest digest && algorithm == digest.algorithm && hex.equals(digest.hex);
    }

    @Override
    public int hashCode() {
        return hex.hashCode();
    }

    @Override
    public String toString() {
        return algorithm.name().toLowerCase(Locale.ROOT) + ":" + hex;
    }

    /** A loop: the first listing of a store's images asks it a thousand times before anything is compiled. */
    private static boolean isLowerHex(String text) {
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
                return false;
            }
        }
        return true;
    }

    private static String abbreviated(String text) {
        return text.length() <= 160 ? "\"" + text + "\"" : "\"" + text.substring(0, 160) + "…\"";
    }
}
