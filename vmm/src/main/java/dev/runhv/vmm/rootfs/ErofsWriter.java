package dev.runhv.vmm.rootfs;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.tar.Sparse;
import dev.runhv.vmm.content.tar.TarReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.zip.CRC32C;

/**
 * Writes an uncompressed EROFS image in one pass. Block 0 is the superblock, written last; the data of files follows as
 * it comes; then the blocks of directories; then the inodes. The same calls give the same bytes.
 */
final class ErofsWriter {
    /** Holes below this are stored: a map would save little and cost the guest a look-up. */
    private static final long WORTHWHILE_HOLES = 1 << 16;
    /** Chunks of one file: a map of 1 MiB at most. */
    private static final int CHUNKS_OF_A_FILE = 1 << 18;

    private final ImageOutput out;
    private final byte[] buffer = new byte[1 << 18];
    private long chunksInMemory;
    private boolean chunked;

    ErofsWriter(ImageOutput out) throws IOException {
        this.out = out;
        out.zerosUntil(Erofs.BLOCK);
    }

    /** Stores the data of the entry at which the reader stands. */
    FileData append(TarReader tar, long size, Sparse sparse) throws IOException {
        if (size > RootfsLimits.FILE_BYTES) {
            throw new CorruptInputException(
                    "it claims %d bytes, more than %d".formatted(size, RootfsLimits.FILE_BYTES));
        }
        if (size == 0) {
            return new FileData.Flat(0, 0);
        }
        if (size - tar.remaining() >= WORTHWHILE_HOLES) {
            return appendChunked(tar, size, sparse);
        }
        int startBlock = block(out.position());
        long start = out.position();
        if (sparse.pieces() == 0) {
            copy(tar, tar.remaining());
        } else {
            for (int i = 0; i < sparse.pieces(); i++) {
                out.zerosUntil(start + sparse.offsets()[i]);
                copy(tar, sparse.lengths()[i]);
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
                    blocks[chunk] = block(out.position());
                }
                long base = ((long) blocks[chunk] << Erofs.BLOCK_BITS) - chunkStart;
                long pieceEnd = Math.min(end, chunkEnd);
                out.zerosUntil(base + at);
                copy(tar, pieceEnd - at);
                // The next piece may begin in this chunk: its rest is filled when the chunk is known to be done.
                boolean last = i + 1 == sparse.pieces() || sparse.offsets()[i + 1] >= chunkEnd;
                if (pieceEnd == chunkEnd || last) {
                    out.zerosUntil(base + chunkEnd);
                    out.align();
                }
                at = pieceEnd;
            }
        }
        chunked = true;
        return new FileData.Chunked(size, chunkBits, blocks);
    }

    private void copy(TarReader tar, long length) throws IOException {
        if (out.position() + length > RootfsLimits.DATA_BYTES) {
            throw new CorruptInputException(
                    "the image would have more than %d bytes of data".formatted(RootfsLimits.DATA_BYTES));
        }
        while (length > 0) {
            int count = tar.read(buffer, 0, (int) Math.min(buffer.length, length));
            if (count < 0) {
                throw new CorruptInputException("its data is shorter than its map says");
            }
            out.write(buffer, 0, count);
            length -= count;
        }
    }

    /**
     * Writes the tree and the superblock.
     *
     * @param uuid of the volume, 16 bytes
     */
    void finish(RootTree tree, byte[] uuid) throws IOException {
        ErofsMetadata metadata = ErofsMetadata.of(tree);
        metadata.writeDirectoryBlocks(out);
        int metaBlock = block(out.position());
        metadata.writeInodes(out);
        out.align();

        ByteBuffer first = ByteBuffer.allocate(Erofs.BLOCK).order(ByteOrder.LITTLE_ENDIAN);
        ByteBuffer sb = first.slice(Erofs.SUPERBLOCK_OFFSET, Erofs.BLOCK - Erofs.SUPERBLOCK_OFFSET)
                .order(ByteOrder.LITTLE_ENDIAN);
        sb.putInt(Erofs.SB_MAGIC, Erofs.MAGIC);
        sb.putInt(Erofs.SB_FEATURE_COMPAT, Erofs.COMPAT_CHECKSUM | Erofs.COMPAT_MTIME);
        sb.put(Erofs.SB_BLOCK_BITS, (byte) Erofs.BLOCK_BITS);
        sb.putShort(Erofs.SB_ROOT_NID, (short) metadata.rootNid());
        sb.putLong(Erofs.SB_INODES, metadata.inodes());
        sb.putInt(Erofs.SB_BLOCKS, block(out.position()));
        sb.putInt(Erofs.SB_META_BLOCK, metaBlock);
        sb.put(Erofs.SB_UUID, uuid);
        sb.putInt(Erofs.SB_FEATURE_INCOMPAT, chunked ? Erofs.INCOMPAT_CHUNKED_FILE : 0);
        sb.putInt(Erofs.SB_CHECKSUM, checksum(sb));
        out.finish(first);
    }

    /** CRC-32C as the kernel computes it, that is without the final complement, of the block from the superblock on. */
    static int checksum(ByteBuffer superblock) {
        ByteBuffer copy =
                ByteBuffer.allocate(Erofs.BLOCK - Erofs.SUPERBLOCK_OFFSET).order(ByteOrder.LITTLE_ENDIAN);
        copy.put(0, superblock, 0, copy.capacity());
        copy.putInt(Erofs.SB_CHECKSUM, 0);
        CRC32C crc = new CRC32C();
        crc.update(copy);
        return ~(int) crc.getValue();
    }

    private static int block(long position) {
        return Math.toIntExact(position >> Erofs.BLOCK_BITS);
    }
}
