package dev.runhv.vmm.runtime;

import dev.runhv.api.ImageEvent;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.image.PullProgress;
import dev.runhv.vmm.rootfs.RootfsProgress;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** Tells a program how an image comes into the store. Layers come on threads of their own: it hears of one thing at a time. */
final class ImageEvents implements PullProgress, RootfsProgress {
    private static final long INTERVAL_NANOS = TimeUnit.MILLISECONDS.toNanos(100);

    private final String operation;
    private final Consumer<? super ImageEvent> listener;
    // Guarded by this.
    private final Map<Digest, Long> toldAt = new HashMap<>();
    private final Set<Digest> whole = new HashSet<>();
    private final Set<Digest> ready = new HashSet<>();

    /** @param operation for what one should know of the image */
    ImageEvents(String operation, Consumer<? super ImageEvent> listener) {
        this.operation = operation;
        this.listener = listener;
    }

    @Override
    public synchronized void resolved(Digest image, int layers, long totalBytes) {
        listener.accept(new ImageEvent.Resolved(image.toString(), layers, totalBytes));
    }

    @Override
    public synchronized void fetched(Digest layer, long bytes, long totalBytes) {
        long now = System.nanoTime();
        Long before = toldAt.get(layer);
        boolean due = bytes == totalBytes ? whole.add(layer) : before == null || now - before >= INTERVAL_NANOS;
        if (due) {
            toldAt.put(layer, now);
            listener.accept(new ImageEvent.Fetched(layer.toString(), bytes, totalBytes));
        }
    }

    @Override
    public synchronized void ready(Digest layer, long totalBytes) {
        if (ready.add(layer)) {
            listener.accept(new ImageEvent.LayerReady(layer.toString(), totalBytes));
        }
    }

    /** Who is told of bytes that come is not told of bytes that are read. */
    @Override
    public void read(int layer, int layers, long bytes, long totalBytes) {}

    @Override
    public synchronized void warn(String text) {
        listener.accept(new ImageEvent.Warning(operation, text));
    }
}
