package dev.runhv.vmm.rootfs;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32C;

/**
 * Writes the tree of an uncompressed EROFS image: the superblock, the blocks of directories, then the inodes. The content of
 * files lies elsewhere, before or behind that. The same calls give the same bytes.
 */
final class ErofsWriter {
    private final ImageOutput out;

    /** @param out at its start */
    ErofsWriter(ImageOutput out) throws IOException {
        this.out = out;
        out.zerosUntil(Erofs.BLOCK);
    }

    /**
     * Writes a tree whose data was written before, to the same output.
     *
     * @param uuid of the volume, 16 bytes
     */
    void finishBehindData(RootTree tree, byte[] uuid) throws IOException {
        finish(ErofsMetadata.of(tree), uuid, 0, 0);
    }

    /**
     * Writes a tree whose data follows the output's end, in files of its own perhaps.
     *
     * @param uuid of the volume, 16 bytes
     * @param dataBlocks how much follows
     */
    void finishBeforeData(RootTree tree, byte[] uuid, int dataBlocks) throws IOException {
        ErofsMetadata metadata = ErofsMetadata.of(tree);
        finish(metadata, uuid, Math.addExact(out.block(), metadata.blocks()), dataBlocks);
    }

    private void finish(ErofsMetadata metadata, byte[] uuid, int firstDataBlock, int dataBlocks) throws IOException {
        metadata.writeDirectoryBlocks(out);
        int metaBlock = out.block();
        metadata.writeInodes(out, firstDataBlock);
        out.align();

        ByteBuffer first = ByteBuffer.allocate(Erofs.BLOCK).order(ByteOrder.LITTLE_ENDIAN);
        ByteBuffer sb = first.slice(Erofs.SUPERBLOCK_OFFSET, Erofs.BLOCK - Erofs.SUPERBLOCK_OFFSET)
                .order(ByteOrder.LITTLE_ENDIAN);
        sb.putInt(Erofs.SB_MAGIC, Erofs.MAGIC);
        sb.putInt(Erofs.SB_FEATURE_COMPAT, Erofs.COMPAT_CHECKSUM | Erofs.COMPAT_MTIME);
        sb.put(Erofs.SB_BLOCK_BITS, (byte) Erofs.BLOCK_BITS);
        sb.putShort(Erofs.SB_ROOT_NID, (short) metadata.rootNid());
        sb.putLong(Erofs.SB_INODES, metadata.inodes());
        sb.putInt(Erofs.SB_BLOCKS, Math.addExact(out.block(), dataBlocks));
        sb.putInt(Erofs.SB_META_BLOCK, metaBlock);
        sb.put(Erofs.SB_UUID, uuid);
        sb.putInt(Erofs.SB_FEATURE_INCOMPAT, metadata.hasChunks() ? Erofs.INCOMPAT_CHUNKED_FILE : 0);
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
}
