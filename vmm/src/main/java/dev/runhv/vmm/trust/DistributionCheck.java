package dev.runhv.vmm.trust;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.BoundedBytes;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.PublicKey;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;

/**
 * Whether a distribution holds the files that it was built with: {@code share/runhv/SHA256SUMS} lists them as {@code sha256sum}
 * does, and {@code SHA256SUMS.sig} beside it, where it was built with a key, is a signature of that list.
 */
public final class DistributionCheck {
    private static final String MANIFEST = "share/runhv/SHA256SUMS";
    private static final String SIGNATURE = MANIFEST + ".sig";
    private static final int BYTES = 1 << 20;

    private DistributionCheck() {}

    /** What is known of whom the list is by. */
    public enum Signed {
        /** There is no signature. */
        NOT,
        /** There is one; no key was given. */
        UNKNOWN,
        BY_THE_KEY
    }

    /**
     * @param home without symbolic links
     * @param files how many are listed
     * @param damages files that are changed, missing or not listed, in words
     */
    public record Result(Path home, int files, Signed signed, List<String> damages) {}

    /**
     * Reads all of it.
     *
     * @param key a file with the public key that must have signed the list
     * @throws RunhvException where there is no list, or the key has not signed it
     */
    public static Result check(Path folder, Optional<Path> key) {
        String operation = "verify the distribution " + folder;
        try {
            // The image service has its own by way of a link of /proc.
            Path home = folder.toRealPath();
            operation = "verify the distribution " + home;
            Optional<byte[]> manifest = read(home.resolve(MANIFEST));
            Optional<byte[]> signature = read(home.resolve(SIGNATURE));
            if (manifest.isEmpty()) {
                throw Failures.notFound(operation, "It has no " + MANIFEST);
            }
            if (key.isPresent()) {
                requireSignature(operation, manifest.get(), signature, key.get());
            }
            Map<String, Digest> listed = parse(manifest.get());
            return new Result(home, listed.size(), signed(signature, key), damages(home, listed));
        } catch (IOException e) {
            throw Failures.of(operation, e);
        }
    }

    private static Signed signed(Optional<byte[]> signature, Optional<Path> key) {
        if (signature.isEmpty()) {
            return Signed.NOT;
        }
        return key.isPresent() ? Signed.BY_THE_KEY : Signed.UNKNOWN;
    }

    private static void requireSignature(String operation, byte[] manifest, Optional<byte[]> signature, Path file)
            throws IOException {
        PublicKey key = PublicKeys.read(file);
        if (signature.isEmpty()) {
            throw Failures.corrupt(operation, "It is unsigned: there is no " + SIGNATURE);
        }
        if (!PublicKeys.verifies(key, manifest, signature.get())) {
            throw Failures.corrupt(operation, "Its " + MANIFEST + " is not what the key " + file + " has signed");
        }
    }

    private static Optional<byte[]> read(Path file) throws IOException {
        try (InputStream in = Files.newInputStream(file)) {
            return Optional.of(BoundedBytes.read(in, BYTES, file.toString()));
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
    }

    /** By their paths, which lead downwards. */
    static Map<String, Digest> parse(byte[] manifest) throws CorruptInputException {
        Map<String, Digest> listed = new TreeMap<>();
        for (String line : new String(manifest, StandardCharsets.UTF_8).lines().toList()) {
            String[] parts = line.split("  ", 2);
            if (parts.length < 2
                    || !leadsDown(parts[1])
                    || listed.put(parts[1], Digest.parse("sha256:" + parts[0])) != null) {
                throw new CorruptInputException(MANIFEST + " has the line \"" + line + "\"");
            }
        }
        return listed;
    }

    private static boolean leadsDown(String path) {
        return Stream.of(path.split("/", -1))
                .noneMatch(part -> part.isEmpty() || part.equals(".") || part.equals(".."));
    }

    private static List<String> damages(Path home, Map<String, Digest> listed) throws IOException {
        List<String> damages = new ArrayList<>();
        TreeSet<String> there = new TreeSet<>();
        try (Stream<Path> files = Files.walk(home)) {
            files.filter(file -> !Files.isDirectory(file))
                    .forEach(file -> there.add(home.relativize(file).toString().replace('\\', '/')));
        }
        for (Map.Entry<String, Digest> entry : listed.entrySet()) {
            if (!there.remove(entry.getKey())) {
                damages.add(entry.getKey() + " is missing");
            } else if (!Digest.sha256(home.resolve(entry.getKey())).equals(entry.getValue())) {
                damages.add(entry.getKey() + " is not what it was built as");
            }
        }
        there.removeAll(List.of(MANIFEST, SIGNATURE));
        there.forEach(file -> damages.add(file + " is not a part of it"));
        return damages;
    }
}
