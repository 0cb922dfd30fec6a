package dev.runhv.vmm.rootfs;

import java.util.concurrent.atomic.LongAdder;
import java.util.function.LongConsumer;

/**
 * Tells a listener how far the layers are read: ten times a second at most, and always what the end of each layer is. It
 * does so on a thread of its own, or where a layer ends: whoever decompresses leaves a number, and waits for nobody.
 */
final class ProgressTicker implements AutoCloseable {
    private static final long INTERVAL_MILLIS = 100;

    private final RootfsProgress listener;
    private final int layers;
    private final long totalBytes;

    private final LongAdder bytes = new LongAdder();

    // Guarded by this.
    private int layer;
    private int shownLayer;
    private long shownBytes = -1;
    private boolean closed;
    private Throwable failure;

    ProgressTicker(RootfsProgress listener, int layers, long totalBytes) {
        this.listener = listener;
        this.layers = layers;
        this.totalBytes = totalBytes;
        if (!listener.equals(RootfsProgress.NONE)) {
            Thread.ofPlatform().daemon().name("runhv-progress").start(this::tick);
        }
    }

    /** @return to be told how many stored bytes of one more layer were read, by one thread at a time */
    synchronized LongConsumer begin() {
        layer++;
        return new LongConsumer() {
            private long before;

            @Override
            public void accept(long read) {
                bytes.add(read - before);
                before = read;
            }
        };
    }

    /** The layer was read to its end. What the listener threw is thrown here. */
    synchronized void end() {
        show();
        switch (failure) {
            case null -> {}
            case RuntimeException e -> throw e;
            case Error e -> throw e;
            case Throwable e -> throw new IllegalStateException(e); // a listener declares none
        }
    }

    private synchronized void tick() {
        try {
            while (!closed) {
                wait(INTERVAL_MILLIS);
                if (!closed && layer != 0) {
                    show();
                }
            }
        } catch (InterruptedException e) {
            throw new IllegalStateException(e); // nobody has this thread to interrupt it
        }
    }

    private void show() {
        long now = bytes.sum();
        if (failure != null || layer == shownLayer && now == shownBytes) {
            return;
        }
        shownLayer = layer;
        shownBytes = now;
        try {
            listener.read(layer, layers, now, totalBytes);
        } catch (RuntimeException | Error e) {
            failure = e;
        }
    }

    /** Afterwards nobody is told of anything. */
    @Override
    public synchronized void close() {
        closed = true;
        notifyAll();
    }
}
