package dev.runhv.vmm.rootfs;

/** Where the content of a regular file lies: in blocks, counted from the first that holds such content. */
sealed interface FileData {
    long size();

    /** In one piece. An empty file has no block. */
    record Flat(long size, int startBlock) implements FileData {}

    /**
     * In chunks of {@code 4096 << chunkBits} bytes, some of them holes.
     *
     * @param blocks where each chunk begins, {@link #HOLE} where there is none; not to be changed
     */
    record Chunked(long size, int chunkBits, int[] blocks) implements FileData {
        static final int HOLE = -1;
    }
}
