package dev.runhv.vmm.content;

import java.io.IOException;
import java.io.InputStream;
import java.security.MessageDigest;

/**
 * Content that is checked while it is read: no byte beyond the promised size is read, and the end is reported only after
 * size and digest have proved right. Who stops before the end has verified nothing.
 */
public final class VerifyingInputStream extends BlockInputStream {
    private final InputStream in;
    private final String what;
    private final Digest expected;
    private final long size;
    private final MessageDigest running;
    private long count;
    private boolean verified;

    public VerifyingInputStream(InputStream in, String what, Digest expected, long size) {
        this.in = in;
        this.what = what;
        this.expected = expected;
        this.size = size;
        this.running = expected.algorithm().newMessageDigest();
    }

    @Override
    public int read(byte[] buffer, int offset, int length) throws IOException {
        if (length == 0) {
            return 0;
        }
        if (count == size) {
            verify();
            return -1;
        }
        int read = in.read(buffer, offset, (int) Math.min(length, size - count));
        if (read < 0) {
            throw new CorruptInputException(
                    "%s ends after %d of %d bytes: it is truncated".formatted(what, count, size));
        }
        running.update(buffer, offset, read);
        count += read;
        return read;
    }

    private void verify() throws IOException {
        if (verified) {
            return;
        }
        Digest actual = Digest.of(expected.algorithm(), running);
        if (!actual.equals(expected)) {
            throw new CorruptInputException(
                    "%s does not match its digest: expected %s, its content has %s".formatted(what, expected, actual));
        }
        verified = true;
    }

    @Override
    public void close() throws IOException {
        in.close();
    }
}
