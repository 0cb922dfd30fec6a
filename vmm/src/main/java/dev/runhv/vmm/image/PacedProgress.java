package dev.runhv.vmm.image;

import dev.runhv.vmm.content.Digest;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/** Passes on one thing at a time: of each layer ten times a second at most how far it is, and once that it is there. */
public final class PacedProgress implements PullProgress {
    private static final long INTERVAL_NANOS = TimeUnit.MILLISECONDS.toNanos(100);

    private final PullProgress told;
    // Guarded by this.
    private final Map<Digest, Long> toldAt = new HashMap<>();
    private final Set<Digest> whole = new HashSet<>();
    private final Set<Digest> ready = new HashSet<>();

    public PacedProgress(PullProgress told) {
        this.told = told;
    }

    @Override
    public synchronized void resolved(Digest image, int layers, long totalBytes) {
        told.resolved(image, layers, totalBytes);
    }

    @Override
    public synchronized void fetched(Digest layer, long bytes, long totalBytes) {
        long now = System.nanoTime();
        Long before = toldAt.get(layer);
        boolean due = bytes == totalBytes ? whole.add(layer) : before == null || now - before >= INTERVAL_NANOS;
        if (due) {
            toldAt.put(layer, now);
            told.fetched(layer, bytes, totalBytes);
        }
    }

    @Override
    public synchronized void ready(Digest layer, long totalBytes) {
        if (ready.add(layer)) {
            told.ready(layer, totalBytes);
        }
    }
}
