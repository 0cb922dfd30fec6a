package dev.runhv.vmm.image;

/** Bounds on what an image may ask of us before anything of it has been verified. */
final class ImageLimits {
    static final int MANIFEST_BYTES = 4 << 20;
    static final int CONFIG_BYTES = 8 << 20;
    /** An index in an index in an index in an index. */
    static final int INDEX_DEPTH = 4;

    /** Linux itself stops at 500 lower layers of an overlay; builders stop at 127. */
    static final int LAYERS = 512;

    static final int MANIFESTS_OF_AN_INDEX = 4096;
    /** A bill of materials, as a whole in memory: those of a whole distribution have some 10 MiB. */
    static final int SBOM_BYTES = 64 << 20;

    static final int ARCHIVE_ENTRIES = 65_536;
    /** All names and link targets in an archive: they wait in memory. Such names are some 80 bytes long. */
    static final int ARCHIVE_NAME_BYTES = 16 << 20;
    /** An archive that is compressed as a whole, decompressed: where a compression bomb ends. */
    static final long ARCHIVE_BYTES = 64L << 30;

    private ImageLimits() {}
}
