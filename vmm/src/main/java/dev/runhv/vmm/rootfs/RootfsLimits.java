package dev.runhv.vmm.rootfs;

/** Bounds on what the layers of an image may make of a root file system. */
public final class RootfsLimits {
    /** Files, directories and links that exist at one time; each costs some 200 bytes of heap. */
    public static final int ENTRIES = 1 << 20;

    /** Headers read from all layers together, those of files that a later layer replaces included. */
    public static final int TAR_ENTRIES = 1 << 22;
    /** PATH_MAX of Linux. */
    public static final int PATH_BYTES = 4096;
    /** NAME_MAX of Linux. */
    public static final int NAME_BYTES = 255;

    public static final int DEPTH = 2048;
    /** Symbolic links followed on the way to one entry; Linux follows 40. */
    public static final int SYMBOLIC_LINKS = 255;
    /** Names and values of one file's extended attributes together; the attributes of ext4 have 4 KiB. */
    public static final int XATTR_BYTES = 64 << 10;
    /** Names and link targets of all files together: they wait in memory. A million files of 30 bytes have half of it. */
    public static final long NAME_TOTAL_BYTES = 64L << 20;
    /** Attributes of all files together, each with {@link #XATTR_OVERHEAD}: they wait in memory. */
    public static final long XATTR_TOTAL_BYTES = 128L << 20;
    /** What an attribute costs in memory besides its name and value. */
    static final int XATTR_OVERHEAD = 128;
    /**
     * Names looked up, bytes of symbolic links followed and names passed by whiteouts, for all entries of all layers
     * together: few headers can ask for much work. A million files twenty folders deep take a twelfth of it.
     */
    public static final long STEPS = 1L << 28;
    /** The image's data, holes not counted. */
    public static final long DATA_BYTES = 256L << 30;
    /** One file, holes counted: the largest file of ext4 with blocks of 4 KiB. */
    public static final long FILE_BYTES = 16L << 40;
    /** One layer, decompressed: where a compression bomb ends. */
    public static final long LAYER_BYTES = 256L << 30;
    /** Chunk maps of all sparse files together, in entries of four bytes: they wait in memory. */
    public static final int CHUNKS = 16 << 20;

    private RootfsLimits() {}
}
