package dev.runhv.vmm.abi;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Writes one structure field by field, in the order and with the alignment of C on x86-64. */
public final class StructWriter {
    private final ByteBuffer bytes;

    /** @param size of the structure, as C has it */
    public StructWriter(int size) {
        bytes = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
        bytes.putInt(size);
    }

    public StructWriter int16(int value) {
        align(Short.BYTES);
        bytes.putShort((short) value);
        return this;
    }

    public StructWriter int32(int value) {
        align(Integer.BYTES);
        bytes.putInt(value);
        return this;
    }

    public StructWriter int64(long value) {
        align(Long.BYTES);
        bytes.putLong(value);
        return this;
    }

    /** A field for text of so many bytes, with a NUL at its end: what does not fit is cut off. */
    public StructWriter text(int size, byte[] utf8) {
        int position = bytes.position();
        bytes.put(utf8, 0, Math.min(utf8.length, size - 1)).position(position + size);
        return this;
    }

    /** A structure inside this one. */
    public StructWriter nested(int alignment, byte[] structure) {
        align(alignment);
        bytes.put(structure);
        return this;
    }

    /** The whole structure; fields that were not written are 0. */
    public byte[] bytes() {
        return bytes.array();
    }

    private void align(int alignment) {
        bytes.position((bytes.position() + alignment - 1) / alignment * alignment);
    }
}
