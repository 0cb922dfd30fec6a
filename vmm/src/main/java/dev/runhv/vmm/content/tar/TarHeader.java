package dev.runhv.vmm.content.tar;

import dev.runhv.vmm.content.CorruptInputException;
import java.nio.charset.StandardCharsets;

/** The fields of one 512-byte header block (POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Standard"). */
final class TarHeader {
    static final int BLOCK = 512;

    static final int MODE = 100;
    static final int UID = 108;
    static final int GID = 116;
    static final int SIZE = 124;
    static final int MTIME = 136;
    static final int TYPE = 156;
    static final int DEVICE_MAJOR = 329;
    static final int DEVICE_MINOR = 337;

    static final int CHECKSUM = 148;
    private static final int LINK_NAME = 157;
    static final int MAGIC = 257;
    private static final int PREFIX = 345;
    private static final int STAR_TRAILER = 508;

    private final byte[] block;

    TarHeader(byte[] block) {
        this.block = block;
    }

    byte type() {
        return block[TYPE];
    }

    boolean isZero() {
        for (byte b : block) {
            if (b != 0) {
                return false;
            }
        }
        return true;
    }

    void check() throws CorruptInputException {
        long unsigned = 0;
        long signed = 0;
        for (int i = 0; i < BLOCK; i++) {
            byte b = i >= CHECKSUM && i < CHECKSUM + 8 ? (byte) ' ' : block[i];
            unsigned += b & 0xff;
            signed += b;
        }
        long expected = number(CHECKSUM, 8, "checksum");
        // Some old tars summed signed characters.
        if (expected != unsigned && expected != signed) {
            throw new CorruptInputException("not a tar header: its checksum does not match");
        }
    }

    String name() {
        String name = text(0, 100);
        if (!text(MAGIC, 6).equals("ustar") || block[MAGIC + 5] != 0) {
            return name;
        }
        // star keeps times behind a shorter prefix, and says so at the very end of the block
        boolean star = text(STAR_TRAILER, 4).equals("tar");
        String prefix = text(PREFIX, star ? 131 : 155);
        return prefix.isEmpty() ? name : prefix + "/" + name;
    }

    String linkName() {
        return text(LINK_NAME, 100);
    }

    /** Octal digits, or the GNU form for what does not fit: first bit set, then a big-endian two's complement. */
    long number(int offset, int length, String field) throws CorruptInputException {
        int first = block[offset] & 0xff;
        if ((first & 0x80) != 0) {
            return binary(offset, length, field);
        }
        long value = 0;
        boolean digits = false;
        for (int i = offset; i < offset + length; i++) {
            int c = block[i];
            if (c >= '0' && c <= '7') {
                if (value >>> 60 != 0) {
                    throw new CorruptInputException("a tar header's " + field + " is too large");
                }
                value = value << 3 | c - '0';
                digits = true;
            } else if (c == 0 || c == ' ') {
                if (digits) {
                    break;
                }
            } else {
                throw new CorruptInputException("not a tar header: its " + field + " is not a number");
            }
        }
        return value;
    }

    private long binary(int offset, int length, String field) throws CorruptInputException {
        boolean negative = (block[offset] & 0x40) != 0;
        long value = negative ? -1 : 0;
        for (int i = 0; i < length; i++) {
            int b = block[offset + i] & 0xff;
            if (i == 0) {
                b = negative ? b | 0x80 : b & 0x7f;
            }
            long top = value >> 55;
            if (top != 0 && top != -1) {
                throw new CorruptInputException("a tar header's " + field + " is too large");
            }
            value = value << 8 | b;
        }
        return value;
    }

    private String text(int offset, int length) {
        int end = offset;
        while (end < offset + length && block[end] != 0) {
            end++;
        }
        return new String(block, offset, end - offset, StandardCharsets.ISO_8859_1);
    }
}
