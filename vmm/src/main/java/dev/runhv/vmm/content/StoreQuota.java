package dev.runhv.vmm.content;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * What a store may take, as {@code RUNHV_STORE_QUOTA} of the caller says: who writes there asks before. What is there is
 * looked at when the first byte is asked for and again after each {@link #LOOK_AGAIN_BYTES}; so others that write at the same
 * time may pass it by that. For any number of threads.
 */
public final class StoreQuota {
    private static final String VARIABLE = "RUNHV_STORE_QUOTA";
    private static final String UNITS = "kmgt";

    /** How much is written between two looks. */
    static final long LOOK_AGAIN_BYTES = 64 << 20;

    /** Whose files `runhv df` counts: names and locks are next to nothing, kernels are none of images. */
    private static final List<String> COUNTED = List.of("registry", "layers", "rootfs");

    /** Of each store that a quota was asked of, for all threads of this class loader. */
    private static final Map<Path, Used> USED = new ConcurrentHashMap<>();

    private final Used used; // null where there is no quota
    private final long limit;

    private StoreQuota(Used used, long limit) {
        this.used = used;
        this.limit = limit;
    }

    /**
     * That of the store, for who the current thread works for.
     *
     * @throws dev.runhv.api.RunhvException where the variable says no size
     */
    public static StoreQuota of(Path store) {
        String text = CallerEnvironment.get().getOrDefault(VARIABLE, "");
        if (text.isEmpty()) {
            return new StoreQuota(null, Long.MAX_VALUE);
        }
        Used used = USED.computeIfAbsent(store.toAbsolutePath().normalize(), Used::new);
        return new StoreQuota(used, bytes(text));
    }

    /** As {@code run -m} has sizes: a number of bytes, or with k, m, g or t behind it. */
    private static long bytes(String text) {
        Matcher matcher = Pattern.compile("([0-9]{1,15})([kmgt]?)").matcher(text.toLowerCase(Locale.ROOT));
        if (matcher.matches()) {
            int shift = 10 * (matcher.group(2).isEmpty() ? 0 : UNITS.indexOf(matcher.group(2)) + 1);
            long number = Long.parseLong(matcher.group(1));
            if (number > 0 && number <= Long.MAX_VALUE >> shift) {
                return number << shift;
            }
        }
        throw Failures.invalid("use " + VARIABLE, "Expected a size such as 20g, or bytes, not \"" + text + "\"");
    }

    /**
     * Before so many bytes are written.
     *
     * @throws QuotaExceededException where the store would have more than its quota
     */
    public void take(long bytes) throws IOException {
        if (used != null) {
            used.take(bytes, limit);
        }
    }

    /**
     * Before work that brings at least so many bytes: what cannot fit need not be begun.
     *
     * @throws QuotaExceededException where the store would have more than its quota
     */
    public void require(long bytes) throws IOException {
        if (used != null) {
            used.require(bytes, limit);
        }
    }

    private static final class Used {
        private final Path store;
        // Guarded by this.
        private long bytes;
        private long untilLook;

        Used(Path store) {
            this.store = store;
        }

        synchronized void take(long more, long limit) throws IOException {
            // What was removed or given up since the last look counts until the next one.
            if (more > untilLook || bytes + more > limit) {
                look();
            }
            requireRoom(more, limit);
            bytes += more;
            untilLook -= more;
        }

        synchronized void require(long more, long limit) throws IOException {
            look();
            requireRoom(more, limit);
        }

        private void look() throws IOException {
            long sum = 0;
            for (String folder : COUNTED) {
                sum += bytesBelow(store.resolve(folder));
            }
            bytes = sum;
            untilLook = LOOK_AGAIN_BYTES;
        }

        private void requireRoom(long more, long limit) throws QuotaExceededException {
            if (more > limit - bytes) {
                throw new QuotaExceededException(
                        "The store has %d bytes, and would have more than the %d that %s allows: runhv prune removes what no name and no container needs, runhv rmi a name"
                                .formatted(bytes, limit, VARIABLE));
            }
        }

        private static long bytesBelow(Path folder) throws IOException {
            if (!Files.isDirectory(folder)) {
                return 0;
            }
            try (Stream<Path> files = Files.walk(folder)) {
                // 0 for a folder's and for what has gone meanwhile.
                return files.filter(Files::isRegularFile)
                        .mapToLong(file -> file.toFile().length())
                        .sum();
            } catch (UncheckedIOException e) {
                throw e.getCause();
            }
        }
    }
}
