package dev.runhv.vmm.rootfs;

/**
 * The on-disk format of EROFS, as far as an uncompressed image uses it (Linux Documentation/filesystems/erofs.rst). All
 * numbers are little-endian. Inodes are addressed in slots of 32 bytes from the start of the metadata area.
 */
final class Erofs {
    static final int BLOCK_BITS = 12;
    static final int BLOCK = 1 << BLOCK_BITS;

    static final int SUPERBLOCK_OFFSET = 1024;
    static final int SUPERBLOCK_BYTES = 128;
    static final int MAGIC = 0xE0F5E1E2;
    static final int COMPAT_CHECKSUM = 1;
    static final int COMPAT_MTIME = 2;
    static final int INCOMPAT_CHUNKED_FILE = 4;

    static final int SB_MAGIC = 0;
    static final int SB_CHECKSUM = 4;
    static final int SB_FEATURE_COMPAT = 8;
    static final int SB_BLOCK_BITS = 12;
    static final int SB_ROOT_NID = 14;
    static final int SB_INODES = 16;
    static final int SB_BLOCKS = 36;
    static final int SB_META_BLOCK = 40;
    static final int SB_XATTR_BLOCK = 44;
    static final int SB_UUID = 48;
    static final int SB_FEATURE_INCOMPAT = 80;
    static final int SB_DIRECTORY_BLOCK_BITS = 90;

    static final int SLOT_BITS = 5;
    static final int SLOT = 1 << SLOT_BITS;
    static final int COMPACT_INODE_BYTES = 32;
    static final int INODE_BYTES = 64;

    static final int LAYOUT_FLAT_PLAIN = 0;
    static final int LAYOUT_FLAT_INLINE = 2;
    static final int LAYOUT_CHUNK_BASED = 4;

    static final int CHUNK_BITS_MASK = 0x1f;
    static final int CHUNK_INDEXES = 0x20;

    static final int DIRECTORY_ENTRY_BYTES = 12;
    static final int XATTR_HEADER_BYTES = 12;
    static final int XATTR_ENTRY_BYTES = 4;

    private Erofs() {}

    static long roundUp(long value, int powerOfTwo) {
        return value + powerOfTwo - 1 & -powerOfTwo;
    }
}
