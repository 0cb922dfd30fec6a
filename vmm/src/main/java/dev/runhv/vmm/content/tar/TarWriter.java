package dev.runhv.vmm.content.tar;

import dev.runhv.vmm.content.CorruptInputException;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Writes a tar (POSIX.1-2017 pax, "ustar Interchange Format") of files and folders that are root's and of no time: the same
 * entries are the same bytes. Names are ASCII, with forward slashes. Not for several threads.
 */
public final class TarWriter implements Closeable {
    private static final int NAME_BYTES = 100;
    /** What eleven octal digits hold. */
    private static final long SIZE_MAX = (1L << 33) - 1;

    private final OutputStream out;

    /** @param out closed with it */
    public TarWriter(OutputStream out) {
        this.out = out;
    }

    /** @param name with a slash at its end */
    public void directory(String name) throws IOException {
        header(name, 0, '5', 0755);
    }

    /**
     * @param content read to its end
     * @throws CorruptInputException where the content is not as long as the size says
     */
    public void file(String name, long size, InputStream content) throws IOException {
        StringBuilder records = new StringBuilder();
        if (name.length() > NAME_BYTES) {
            records.append(record("path", name));
        }
        if (size > SIZE_MAX) {
            records.append(record("size", Long.toString(size)));
        }
        if (!records.isEmpty()) {
            byte[] pax = records.toString().getBytes(StandardCharsets.US_ASCII);
            header("pax", pax.length, 'x', 0644);
            out.write(pax);
            pad(pax.length);
        }
        header(name, Math.min(size, SIZE_MAX), '0', 0644);
        long written = content.transferTo(out);
        if (written != size) {
            throw new CorruptInputException("%s has %d bytes, not %d".formatted(name, written, size));
        }
        pad(size);
    }

    /** Its length counts its own digits. */
    private static String record(String keyword, String value) {
        String rest = " " + keyword + "=" + value + "\n";
        int length = rest.length() + 1;
        while (length != rest.length() + Integer.toString(length).length()) {
            length++;
        }
        return length + rest;
    }

    private void header(String name, long size, char type, int mode) throws IOException {
        byte[] block = new byte[TarHeader.BLOCK];
        put(block, 0, name.substring(0, Math.min(name.length(), NAME_BYTES)));
        octal(block, TarHeader.MODE, 8, mode);
        octal(block, TarHeader.UID, 8, 0);
        octal(block, TarHeader.GID, 8, 0);
        octal(block, TarHeader.SIZE, 12, size);
        octal(block, TarHeader.MTIME, 12, 0);
        block[TarHeader.TYPE] = (byte) type;
        put(block, TarHeader.MAGIC, "ustar\00000");
        Arrays.fill(block, TarHeader.CHECKSUM, TarHeader.CHECKSUM + 8, (byte) ' ');
        int sum = 0;
        for (byte b : block) {
            sum += b & 0xff;
        }
        octal(block, TarHeader.CHECKSUM, 7, sum);
        out.write(block);
    }

    private static void octal(byte[] block, int offset, int length, long value) {
        put(block, offset, ("%0" + (length - 1) + "o\0").formatted(value));
    }

    private static void put(byte[] block, int offset, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
        System.arraycopy(bytes, 0, block, offset, bytes.length);
    }

    private void pad(long size) throws IOException {
        out.write(new byte[(int) (-size & TarHeader.BLOCK - 1)]);
    }

    /** With the two empty blocks of an end. */
    @Override
    public void close() throws IOException {
        try (out) {
            out.write(new byte[2 * TarHeader.BLOCK]);
        }
    }
}
