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
        int read(byte[] bytes, int offset, int length) throws IOException;
    }

    /** Stores data without holes. */
    FileData append(InputStream in, long size) throws IOException {
        requireSize(size);
        if (size == 0) {
            return new FileData.Flat(0, 0);
        }
        int startBlock = out.block();
        copy(in::read, size);
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
            copy(tar::read, tar.remaining());
        } else {
            for (int i = 0; i < sparse.pieces(); i++) {
                out.zerosUntil(start + sparse.offsets()[i]);
                copy(tar::read, sparse.lengths()[i]);
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
                copy(tar::read, pieceEnd - at);
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
            int count = source.read(buffer, 0, (int) Math.min(buffer.length, length));
            if (count < 0) {
                throw new CorruptInputException("its data is shorter than it says");
            }
            out.write(buffer, 0, count);
            length -= count;
        }
    }
}
