package dev.runhv.vmm.content;

import java.io.IOException;
import java.io.InputStream;

/** Somebody else's bytes that are held in memory as a whole, because they are few. */
public final class BoundedBytes {
    private BoundedBytes() {}

    /**
     * Reads to the end.
     *
     * @param what has these bytes, as the message begins
     * @throws CorruptInputException where there are more than the limit
     */
    public static byte[] read(InputStream in, int limit, String what) throws IOException {
        byte[] bytes = in.readNBytes(limit + 1);
        if (bytes.length > limit) {
            throw new CorruptInputException("%s has more than %d bytes".formatted(what, limit));
        }
        return bytes;
    }
}
