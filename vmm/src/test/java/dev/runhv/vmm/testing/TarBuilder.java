package dev.runhv.vmm.testing;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/** Writes a tar. Names are byte strings: each char is one byte. */
public final class TarBuilder {
    private static final int BLOCK = 512;

    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    /** What goes before the header of the next entry, and into it. */
    private final Map<String, byte[]> pax = new LinkedHashMap<>();

    private int mode = -1;
    private long uid;
    private long gid;
    private long mtime = 1_700_000_000;

    public TarBuilder mode(int value) {
        mode = value;
        return this;
    }

    public TarBuilder owner(long newUid, long newGid) {
        uid = newUid;
        gid = newGid;
        return this;
    }

    public TarBuilder mtime(long value) {
        mtime = value;
        return this;
    }

    public TarBuilder pax(String keyword, byte[] value) {
        pax.put(keyword, value);
        return this;
    }

    public TarBuilder pax(String keyword, String value) {
        return pax(keyword, latin1(value));
    }

    public TarBuilder xattr(String name, byte[] value) {
        return pax("SCHILY.xattr." + name, value);
    }

    public TarBuilder file(String name, String content) {
        return file(name, latin1(content));
    }

    public TarBuilder file(String name, byte[] content) {
        return entry('0', name, "", content, 0644, 0, 0);
    }

    public TarBuilder directory(String name) {
        return entry('5', name, "", new byte[0], 0755, 0, 0);
    }

    public TarBuilder symlink(String name, String target) {
        return entry('2', name, target, new byte[0], 0777, 0, 0);
    }

    public TarBuilder hardlink(String name, String target) {
        return entry('1', name, target, new byte[0], 0644, 0, 0);
    }

    public TarBuilder fifo(String name) {
        return entry('6', name, "", new byte[0], 0600, 0, 0);
    }

    public TarBuilder device(char type, String name, int major, int minor) {
        return entry(type, name, "", new byte[0], 0600, major, minor);
    }

    public TarBuilder raw(byte[] bytes) {
        out.writeBytes(bytes);
        return this;
    }

    public TarBuilder entry(
            char type, String name, String link, byte[] content, int defaultMode, int major, int minor) {
        if (!pax.isEmpty()) {
            byte[] records = records(pax);
            pax.clear();
            data(header('x', "PaxHeaders/0", "", records.length, 0644, 0, 0, 0, 0, 0), records);
        }
        String shortName = gnuLong('L', name);
        String shortLink = gnuLong('K', link);
        data(
                header(
                        type,
                        shortName,
                        shortLink,
                        content.length,
                        mode < 0 ? defaultMode : mode,
                        uid,
                        gid,
                        mtime,
                        major,
                        minor),
                content);
        mode = -1;
        uid = 0;
        gid = 0;
        mtime = 1_700_000_000;
        return this;
    }

    private String gnuLong(char type, String text) {
        if (text.length() <= 100) {
            return text;
        }
        byte[] bytes = latin1(text + "\0");
        data(header(type, "././@LongLink", "", bytes.length, 0, 0, 0, 0, 0, 0), bytes);
        return text.substring(0, 100);
    }

    public byte[] bytes() {
        ByteArrayOutputStream whole = new ByteArrayOutputStream();
        whole.writeBytes(out.toByteArray());
        whole.writeBytes(new byte[2 * BLOCK]);
        return whole.toByteArray();
    }

    private void data(byte[] header, byte[] content) {
        out.writeBytes(header);
        out.writeBytes(content);
        out.writeBytes(new byte[-content.length & BLOCK - 1]);
    }

    public static byte[] header(
            char type,
            String name,
            String link,
            long size,
            int mode,
            long uid,
            long gid,
            long mtime,
            int major,
            int minor) {
        byte[] block = new byte[BLOCK];
        put(block, 0, latin1(name));
        number(block, 100, 8, mode);
        number(block, 108, 8, uid);
        number(block, 116, 8, gid);
        number(block, 124, 12, size);
        number(block, 136, 12, mtime);
        block[156] = (byte) type;
        put(block, 157, latin1(link));
        put(block, 257, latin1("ustar\00000"));
        number(block, 329, 8, major);
        number(block, 337, 8, minor);
        return checksummed(block);
    }

    /** The block with its checksum made right. */
    public static byte[] checksummed(byte[] block) {
        Arrays.fill(block, 148, 156, (byte) ' ');
        int sum = 0;
        for (byte b : block) {
            sum += b & 0xff;
        }
        put(block, 148, latin1("%06o\0 ".formatted(sum)));
        return block;
    }

    public static void number(byte[] block, int offset, int length, long value) {
        String octal = Long.toOctalString(value);
        if (value >= 0 && octal.length() < length) {
            put(block, offset, latin1("0".repeat(length - 1 - octal.length()) + octal));
            return;
        }
        for (int i = length - 1; i >= 0; i--, value >>= 8) {
            block[offset + i] = (byte) value;
        }
        block[offset] = (byte) (value < 0 || block[offset] < 0 ? 0xff : 0x80);
    }

    private static byte[] records(Map<String, byte[]> pax) {
        ByteArrayOutputStream records = new ByteArrayOutputStream();
        for (Map.Entry<String, byte[]> record : pax.entrySet()) {
            records.writeBytes(record(record.getKey(), record.getValue()));
        }
        return records.toByteArray();
    }

    /** One PAX record, whose length counts its own digits. */
    public static byte[] record(String keyword, byte[] value) {
        int body = keyword.length() + value.length + 3;
        int length = body + 1;
        while (String.valueOf(length).length() + body != length) {
            length++;
        }
        ByteArrayOutputStream record = new ByteArrayOutputStream();
        record.writeBytes(latin1(length + " " + keyword + "="));
        record.writeBytes(value);
        record.write('\n');
        return record.toByteArray();
    }

    private static void put(byte[] block, int offset, byte[] bytes) {
        System.arraycopy(bytes, 0, block, offset, bytes.length);
    }

    public static byte[] latin1(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }
}
