package dev.runhv.vmm.abi;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Reads one structure field by field, in the order and with the alignment of C on x86-64. What the sender's version lacks is
 * zeros, what it has more is passed over.
 */
public final class StructReader {
    private static final int SIZE_BYTES = 4;

    private final ByteBuffer bytes;
    private final int begin;
    private final int end;
    private int offset;

    private StructReader(ByteBuffer bytes, int begin, int end) {
        this.bytes = bytes;
        this.begin = begin;
        this.end = end;
        this.offset = SIZE_BYTES;
    }

    /**
     * At the position of {@code bytes}, which moves behind the structure.
     *
     * @throws MalformedException where the structure's size is not that of what is there
     */
    public static StructReader take(ByteBuffer bytes) throws MalformedException {
        ByteBuffer littleEndian = bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN);
        int begin = bytes.position();
        if (bytes.remaining() < SIZE_BYTES) {
            throw new MalformedException("A structure has no size: " + bytes.remaining() + " bytes are there");
        }
        int size = littleEndian.getInt(begin);
        if (size < SIZE_BYTES || size > bytes.remaining()) {
            throw new MalformedException("A structure says " + Integer.toUnsignedString(size) + " bytes, and "
                    + bytes.remaining() + " are there");
        }
        bytes.position(begin + size);
        return new StructReader(littleEndian, begin, begin + size);
    }

    /** A structure of so many bytes inside this one. */
    StructReader nested(int size, int alignment) {
        align(alignment);
        int at = begin + offset;
        offset += size;
        return new StructReader(bytes, at, Math.min(at + size, end));
    }

    public int int32() {
        align(Integer.BYTES);
        int at = begin + offset;
        offset += Integer.BYTES;
        return at + Integer.BYTES <= end ? bytes.getInt(at) : 0;
    }

    public long int64() {
        align(Long.BYTES);
        int at = begin + offset;
        offset += Long.BYTES;
        return at + Long.BYTES <= end ? bytes.getLong(at) : 0;
    }

    /** A text of a field of so many bytes, up to its NUL. */
    public String text(int size) {
        int at = begin + offset;
        offset += size;
        int length = 0;
        while (length < size && at + length < end && bytes.get(at + length) != 0) {
            length++;
        }
        byte[] text = new byte[length];
        if (length > 0) {
            bytes.get(at, text);
        }
        return new String(text, StandardCharsets.UTF_8);
    }

    private void align(int alignment) {
        offset = (offset + alignment - 1) / alignment * alignment;
    }
}
