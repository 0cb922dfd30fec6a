package dev.runhv.vmm.content;

import java.io.ByteArrayInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.Optional;

/** Gzip that ISA-L accepts is accepted by the JDK, which gives the same; but the JDK may end before a member that it does not like. */
public final class GzipFuzz {
    /** Of a bomb the start is enough. */
    private static final int MOST = 1 << 22;

    private GzipFuzz() {}

    public static void fuzzerTestOneInput(byte[] data) throws IOException {
        Optional<InputStream> quick = IsalInputStream.of(new ByteArrayInputStream(data));
        if (quick.isEmpty()) {
            return; // no such library here: IsalInputStreamTest says so
        }
        byte[] ours;
        try (InputStream in = quick.get()) {
            ours = in.readNBytes(MOST);
        } catch (CorruptInputException | EOFException e) {
            return;
        }
        try (InputStream in = Compression.gunzipByJdk(new ByteArrayInputStream(data))) {
            byte[] jdks = in.readNBytes(MOST);
            if (jdks.length > ours.length || !Arrays.equals(jdks, 0, jdks.length, ours, 0, jdks.length)) {
                throw new AssertionError("ISA-L gives other content than the JDK");
            }
        }
    }
}
