package dev.runhv.vmm.rootfs;

import dev.runhv.vmm.content.BlockInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;

/**
 * Reads a stream on a thread of its own, a few blocks ahead, so that decompressing and the work on what was decompressed
 * share two processors. A failure of the stream appears at its place in the data.
 *
 * <p>The thread owns the stream until {@link #close}, which stops it and waits for it; the stream itself is closed by
 * whoever opened it. One reader only.
 */
final class ReadAhead extends BlockInputStream {
    private static final int BLOCK = 1 << 18;
    private static final int BLOCKS = 8;

    private sealed interface Item {
        record Data(byte[] bytes, int length) implements Item {}

        record End() implements Item {}

        record Failure(Throwable cause) implements Item {}
    }

    private final BlockingQueue<Item> filled = new ArrayBlockingQueue<>(BLOCKS + 1);
    private final BlockingQueue<byte[]> free = new ArrayBlockingQueue<>(BLOCKS);
    private final Thread thread;
    private Item current = new Item.Data(new byte[0], 0);
    private int position;

    ReadAhead(InputStream in) {
        for (int i = 0; i < BLOCKS; i++) {
            free.add(new byte[BLOCK]);
        }
        thread = Thread.ofPlatform().daemon().name("runhv-layer-reader").start(() -> fill(in));
    }

    private void fill(InputStream in) {
        try {
            try {
                while (true) {
                    byte[] block = free.take();
                    int length = in.readNBytes(block, 0, block.length);
                    if (length == 0) {
                        filled.put(new Item.End());
                        return;
                    }
                    filled.put(new Item.Data(block, length));
                }
            } catch (IOException | RuntimeException | Error e) {
                filled.put(new Item.Failure(e));
            }
        } catch (InterruptedException e) {
            // close() asked for it: nobody will read the rest
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public int read(byte[] buffer, int offset, int length) throws IOException {
        if (length == 0) {
            return 0;
        }
        return give(length, (bytes, at, count) -> System.arraycopy(bytes, at, buffer, offset, count));
    }

    @Override
    public int give(int most, Taker taker) throws IOException {
        while (true) {
            switch (current) {
                case Item.Data(byte[] bytes, int filledLength) -> {
                    if (position < filledLength) {
                        int count = Math.min(most, filledLength - position);
                        taker.take(bytes, position, count);
                        position += count;
                        return count;
                    }
                    next(bytes);
                }
                case Item.End() -> {
                    return -1;
                }
                case Item.Failure(IOException e) -> throw e;
                case Item.Failure(RuntimeException e) -> throw e;
                case Item.Failure(Throwable e) -> throw new IllegalStateException("Reading a layer failed", e);
            }
        }
    }

    private void next(byte[] used) throws IOException {
        try {
            if (used.length > 0) {
                free.put(used);
            }
            current = filled.take();
            position = 0;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("Interrupted while reading a layer");
        }
    }

    @Override
    public void close() {
        thread.interrupt();
        boolean interrupted = false;
        while (thread.isAlive()) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
