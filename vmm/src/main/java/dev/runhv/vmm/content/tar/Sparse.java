package dev.runhv.vmm.content.tar;

import dev.runhv.vmm.content.CorruptInputException;

/**
 * Where the pieces of a sparse file belong: piece i has {@code lengths[i]} bytes at {@code offsets[i]}. The pieces are in
 * order, apart, and inside the file. The arrays are not to be changed.
 */
public record Sparse(long[] offsets, long[] lengths) {
    /** Not sparse: all data from the start. */
    public static final Sparse NONE = new Sparse(new long[0], new long[0]);

    public int pieces() {
        return offsets.length;
    }

    /** @throws CorruptInputException when the pieces are not as the type promises, or do not hold {@code stored} bytes */
    static Sparse checked(long[] offsets, long[] lengths, long fileSize, long stored) throws CorruptInputException {
        long end = 0;
        long sum = 0;
        for (int i = 0; i < offsets.length; i++) {
            if (offsets[i] < end || lengths[i] < 0 || offsets[i] > fileSize || lengths[i] > fileSize - offsets[i]) {
                throw new CorruptInputException("the map of a sparse file is out of order or reaches beyond its end");
            }
            end = offsets[i] + lengths[i];
            sum += lengths[i];
        }
        if (sum != stored) {
            throw new CorruptInputException(
                    "a sparse file stores %d bytes where its map has room for %d".formatted(stored, sum));
        }
        return new Sparse(offsets, lengths);
    }
}
