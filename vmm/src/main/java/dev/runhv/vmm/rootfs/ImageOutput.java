package dev.runhv.vmm.rootfs;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;

/**
 * An image file that is written from front to back through one large buffer. Long runs of zeros are skipped, not
 * written: the host's file system keeps them as holes.
 */
final class ImageOutput implements Closeable {
    private static final int BUFFER = 1 << 20;
    private static final int LONG_RUN = 1 << 16;

    private final FileChannel channel;
    private final ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER).order(ByteOrder.LITTLE_ENDIAN);
    /** Of the first byte in the buffer. */
    private long start;

    ImageOutput(FileChannel channel) {
        this.channel = channel;
    }

    long position() {
        return start + buffer.position();
    }

    /** The block that begins at the current position. */
    int block() {
        return Math.toIntExact(position() >> Erofs.BLOCK_BITS);
    }

    void write(byte[] data, int offset, int length) throws IOException {
        while (length > 0) {
            int count = Math.min(length, room());
            buffer.put(data, offset, count);
            offset += count;
            length -= count;
        }
    }

    void write(ByteBuffer data) throws IOException {
        while (data.hasRemaining()) {
            int count = Math.min(data.remaining(), room());
            buffer.put(buffer.position(), data, data.position(), count);
            buffer.position(buffer.position() + count);
            data.position(data.position() + count);
        }
    }

    /** Goes on to a later position; what lies between is zeros. */
    void zerosUntil(long position) throws IOException {
        long count = position - position();
        if (count >= LONG_RUN) {
            flush();
            start = position;
            return;
        }
        for (; count > 0; count--) {
            room();
            buffer.put((byte) 0);
        }
    }

    /** To a multiple of the block size. */
    void align() throws IOException {
        zerosUntil(Erofs.roundUp(position(), Erofs.BLOCK));
    }

    /** Writes what is buffered; the file ends at the current position. */
    void finish() throws IOException {
        flush();
        if (channel.size() < start) {
            writeFully(ByteBuffer.allocate(1), start - 1);
        }
    }

    /** Writes what is buffered, and over what is at the start of the file; the file ends at the current position. */
    void finish(ByteBuffer firstBlock) throws IOException {
        finish();
        writeFully(firstBlock, 0);
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }

    private int room() throws IOException {
        if (!buffer.hasRemaining()) {
            flush();
        }
        return buffer.remaining();
    }

    private void flush() throws IOException {
        buffer.flip();
        int count = buffer.remaining();
        writeFully(buffer, start);
        start += count;
        buffer.clear();
    }

    private void writeFully(ByteBuffer data, long position) throws IOException {
        while (data.hasRemaining()) {
            position += channel.write(data, position);
        }
    }
}
