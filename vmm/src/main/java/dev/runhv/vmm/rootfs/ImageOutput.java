package dev.runhv.vmm.rootfs;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.util.zip.CRC32C;

/**
 * An image file that is written from front to back through one large buffer. Long runs of zeros are skipped, not
 * written: the host's file system keeps them as holes.
 */
final class ImageOutput implements Closeable {
    private static final int BUFFER = 1 << 20;
    private static final int LONG_RUN = 1 << 16;
    private static final byte[] ZEROS = new byte[LONG_RUN];

    private final FileChannel channel;
    private final ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER).order(ByteOrder.LITTLE_ENDIAN);
    private final CRC32C checksum = new CRC32C();
    private final Room room;
    /** Of the first byte in the buffer. */
    private long start;

    /** Asked before bytes are written, those of holes too: how many more. */
    interface Room {
        void take(long bytes) throws IOException;
    }

    ImageOutput(FileChannel channel) {
        this(channel, bytes -> {});
    }

    ImageOutput(FileChannel channel, Room room) {
        this.channel = channel;
        this.room = room;
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
            room.take(count);
            start = position;
            for (; count > 0; count -= Math.min(count, ZEROS.length)) {
                checksum.update(ZEROS, 0, (int) Math.min(count, ZEROS.length));
            }
            return;
        }
        write(ZEROS, 0, (int) Math.max(count, 0));
    }

    /** To a multiple of the block size. */
    void align() throws IOException {
        zerosUntil(Erofs.roundUp(position(), Erofs.BLOCK));
    }

    /** Of all bytes up to the current position, as they come from front to back. REQUIRES: finished. */
    int checksum() {
        return (int) checksum.getValue();
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
        room.take(count);
        checksum.update(buffer.duplicate());
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
