package dev.runhv.vmm.process;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * What a stream has brought and nobody has read yet, up to a limit: {@link dev.runhv.api.Output#keep(int)}. Until its stream
 * is asked for the oldest makes room for the newest; from then on who writes waits.
 */
final class KeptOutput {
    private static final int FIRST_BYTES = 8192;

    private final int limit;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private final InputStream stream = new Reader();
    // All guarded by the lock. A ring.
    private byte[] bytes = new byte[0];
    private int begin;
    private int size;
    private long lost;
    private boolean asked;
    private boolean ended;
    private boolean abandoned;

    KeptOutput(int limit) {
        this.limit = limit;
    }

    /** The stream; nothing is lost from now on. */
    InputStream stream() {
        lock.lock();
        try {
            asked = true;
            return stream;
        } finally {
            lock.unlock();
        }
    }

    /** @throws InterruptedException while it waits for the reader */
    void write(byte[] from, int length) throws InterruptedException {
        lock.lock();
        try {
            int offset = 0;
            while (offset < length) {
                while (asked && !abandoned && size == limit) {
                    changed.await();
                }
                boolean waits = asked && !abandoned;
                int piece = Math.min(length - offset, waits ? limit - size : limit);
                add(from, offset, piece);
                offset += piece;
                changed.signalAll();
            }
        } finally {
            lock.unlock();
        }
    }

    private void add(byte[] from, int offset, int length) {
        reserve(Math.min(limit, size + length));
        int over = Math.max(0, size + length - limit);
        begin = bytes.length == 0 ? 0 : (begin + over) % bytes.length;
        size -= over;
        lost += over;
        int at = (begin + size) % bytes.length;
        int first = Math.min(length, bytes.length - at);
        System.arraycopy(from, offset, bytes, at, first);
        System.arraycopy(from, offset + first, bytes, 0, length - first);
        size += length;
    }

    private void reserve(int needed) {
        if (needed <= bytes.length) {
            return;
        }
        int capacity = (int) Math.min(limit, Math.max((long) needed, Math.max(FIRST_BYTES, 2L * bytes.length)));
        byte[] larger = new byte[capacity];
        copy(larger, 0, size);
        bytes = larger;
        begin = 0;
    }

    private void copy(byte[] to, int offset, int length) {
        int first = Math.min(length, bytes.length - begin);
        System.arraycopy(bytes, begin, to, offset, first);
        System.arraycopy(bytes, 0, to, offset + first, length - first);
    }

    /** Nothing more comes. */
    void end() {
        lock.lock();
        try {
            ended = true;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** Nobody waits for a reader any more. */
    void abandon() {
        lock.lock();
        try {
            abandoned = true;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** The newest of what is there, which stays. */
    String tail(int length) {
        lock.lock();
        try {
            byte[] all = new byte[size];
            copy(all, 0, size);
            return new String(Arrays.copyOfRange(all, Math.max(0, size - length), size), StandardCharsets.UTF_8);
        } finally {
            lock.unlock();
        }
    }

    private final class Reader extends InputStream {
        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] to, int offset, int length) throws IOException {
            Objects.checkFromIndexSize(offset, length, to.length);
            lock.lock();
            try {
                if (length == 0) {
                    return 0;
                }
                while (size == 0 && !ended && lost == 0) {
                    changed.await();
                }
                if (lost > 0) {
                    String complaint = lost + " bytes are lost: nobody read the stream, and " + limit
                            + " are kept; what follows is the rest. Output.pipe() loses nothing";
                    lost = 0;
                    throw new IOException(complaint);
                }
                int count = Math.min(length, size);
                if (count == 0) {
                    return -1;
                }
                copy(to, offset, count);
                begin = (begin + count) % bytes.length;
                size -= count;
                changed.signalAll();
                return count;
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new InterruptedIOException("Interrupted while waiting for output");
            } finally {
                lock.unlock();
            }
        }

        @Override
        public int available() {
            lock.lock();
            try {
                return size;
            } finally {
                lock.unlock();
            }
        }

        /** The reader goes away: who writes need not wait for it. */
        @Override
        public void close() {
            abandon();
        }
    }
}
