package dev.runhv.vmm.rootfs;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.tar.Sparse;
import dev.runhv.vmm.content.tar.TarReader;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;

/** Stores the content of files as it comes, each from the start of a block on. The same calls give the same bytes. */
final class FileDataWriter {
    /** Holes below this are stored: a map would save little and cost the guest a look-up. */
    private static final long WORTHWHILE_HOLES = 1 << 16;
    /** Chunks of one file: a map of 1 MiB at most. */
    static final int CHUNKS_OF_A_FILE = 1 << 18;

    private final ImageOutput out;
    private final byte[] buffer = new byte[1 << 18];
    private long chunksInMemory;

    /** @param out at the start of a block; blocks are counted from its start */
    FileDataWriter(ImageOutput out) {
        this.out = out;
    }

    private interface Source {
        /** Writes up to so many bytes of it; -1: there are no more. */
        int write(int most) throws IOException;
    }

    private int write(InputStream in, int most) throws IOException {
        int count = in.read(buffer, 0, Math.min(buffer.length, most));
        out.write(buffer, 0, Math.max(count, 0));
        return count;
    }

    private int write(TarReader tar, int most) throws IOException {
        return tar.give(most, out::write);
    }

    /** Stores data without holes. */
    FileData append(InputStream in, long size) throws IOException {
        requireSize(size);
        if (size == 0) {
            return new FileData.Flat(0, 0);
        }
        int startBlock = out.block();
        copy(most -> write(in, most), size);
        out.align();
        return new FileData.Flat(size, startBlock);
    }

    private static void requireSize(long size) throws CorruptInputException {
        if (size > RootfsLimits.FILE_BYTES) {
            throw new CorruptInputException(
                    "it claims %d bytes, more than %d".formatted(size, RootfsLimits.FILE_BYTES));
        }
    }

    /** Stores the data of the entry at which the reader stands. */
    FileData append(TarReader tar, long size, Sparse sparse) throws IOException {
        requireSize(size);
        if (size == 0) {
            return new FileData.Flat(0, 0);
        }
        if (size - tar.remaining() >= WORTHWHILE_HOLES) {
            return appendChunked(tar, size, sparse);
        }
        int startBlock = out.block();
        long start = out.position();
        if (sparse.pieces() == 0) {
            copy(most -> write(tar, most), tar.remaining());
        } else {
            for (int i = 0; i < sparse.pieces(); i++) {
                out.zerosUntil(start + sparse.offsets()[i]);
                copy(most -> write(tar, most), sparse.lengths()[i]);
            }
        }
        out.zerosUntil(start + size);
        out.align();
        return new FileData.Flat(size, startBlock);
    }

    private FileData appendChunked(TarReader tar, long size, Sparse sparse) throws IOException {
        int chunkBits = 0;
        while (size - 1 >> Erofs.BLOCK_BITS + chunkBits >= CHUNKS_OF_A_FILE) {
            chunkBits++;
        }
        int shift = Erofs.BLOCK_BITS + chunkBits;
        int[] blocks = new int[(int) ((size - 1 >> shift) + 1)];
        Arrays.fill(blocks, FileData.Chunked.HOLE);
        chunksInMemory += blocks.length;
        if (chunksInMemory > RootfsLimits.CHUNKS) {
            throw new CorruptInputException("the sparse files of the image are too many or too large");
        }
        for (int i = 0; i < sparse.pieces(); i++) {
            long at = sparse.offsets()[i];
            long end = at + sparse.lengths()[i];
            while (at < end) {
                int chunk = (int) (at >> shift);
                long chunkStart = (long) chunk << shift;
                long chunkEnd = Math.min(chunkStart + (1L << shift), size);
                if (blocks[chunk] == FileData.Chunked.HOLE) {
                    blocks[chunk] = out.block();
                }
                long base = ((long) blocks[chunk] << Erofs.BLOCK_BITS) - chunkStart;
                long pieceEnd = Math.min(end, chunkEnd);
                out.zerosUntil(base + at);
                copy(most -> write(tar, most), pieceEnd - at);
                // The next piece may begin in this chunk: its rest is filled when the chunk is known to be done.
                boolean last = i + 1 == sparse.pieces() || sparse.offsets()[i + 1] >= chunkEnd;
                if (pieceEnd == chunkEnd || last) {
                    out.zerosUntil(base + chunkEnd);
                    out.align();
                }
                at = pieceEnd;
            }
        }
        return new FileData.Chunked(size, chunkBits, blocks);
    }

    private void copy(Source source, long length) throws IOException {
        if (out.position() + length > RootfsLimits.DATA_BYTES) {
            throw new CorruptInputException(
                    "the image would have more than %d bytes of data".formatted(RootfsLimits.DATA_BYTES));
        }
        while (length > 0) {
            int count = source.write((int) Math.min(Integer.MAX_VALUE, length));
            if (count < 0) {
                throw new CorruptInputException("its data is shorter than it says");
            }
            length -= count;
        }
    }
}
