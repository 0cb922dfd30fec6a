package dev.runhv.api;

import java.util.EnumMap;
import java.util.Map;

/** How often the virtual processors of a micro-VM came back from the guest, by reason. */
public final class ExitCounts {
    private final EnumMap<ExitReason, Long> counts = new EnumMap<>(ExitReason.class);

    private ExitCounts(Map<ExitReason, Long> counts) {
        for (ExitReason reason : ExitReason.values()) {
            this.counts.put(reason, counts.getOrDefault(reason, 0L));
        }
    }

    /**
     * Counts by reason.
     *
     * @param counts a reason that is not there counts 0
     * @return a copy of them
     */
    public static ExitCounts of(Map<ExitReason, Long> counts) {
        return new ExitCounts(counts);
    }

    /**
     * The count of one reason.
     *
     * @param reason the one
     * @return not negative
     */
    public long of(ExitReason reason) {
        return counts.getOrDefault(reason, 0L);
    }

    /**
     * All of them.
     *
     * @return their sum
     */
    public long all() {
        return counts.values().stream().mapToLong(Long::longValue).sum();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof ExitCounts that && counts.equals(that.counts);
    }

    @Override
    public int hashCode() {
        return counts.hashCode();
    }

    /** For instance {@code {IO_PORT=3, …}, 12 in all}. */
    @Override
    public String toString() {
        return counts + ", " + all() + " in all";
    }
}
