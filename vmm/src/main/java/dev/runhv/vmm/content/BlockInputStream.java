package dev.runhv.vmm.content;

import java.io.IOException;
import java.io.InputStream;

/** A stream whose work is done for blocks of bytes: a single byte is a block of one. */
public abstract class BlockInputStream extends InputStream {
    private static final int COPIED = 1 << 16;

    @Override
    public final int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public abstract int read(byte[] buffer, int offset, int length) throws IOException;

    /** Takes bytes where they lie: they are its own until it returns. */
    public interface Taker {
        void take(byte[] bytes, int offset, int length) throws IOException;
    }

    /**
     * As {@link #read(byte[], int, int)}, without a copy where the stream has the bytes in a block of its own.
     *
     * @param most bytes, more than none
     * @return how many were taken, perhaps fewer; -1 at the end
     */
    public int give(int most, Taker taker) throws IOException {
        return giveCopied(this, most, taker);
    }

    /** {@link #give(int, Taker)} of any stream. */
    public static int give(InputStream in, int most, Taker taker) throws IOException {
        return in instanceof BlockInputStream blocks ? blocks.give(most, taker) : giveCopied(in, most, taker);
    }

    private static int giveCopied(InputStream in, int most, Taker taker) throws IOException {
        byte[] bytes = new byte[Math.min(most, COPIED)];
        int count = in.read(bytes, 0, bytes.length);
        if (count > 0) {
            taker.take(bytes, 0, count);
        }
        return count;
    }
}
