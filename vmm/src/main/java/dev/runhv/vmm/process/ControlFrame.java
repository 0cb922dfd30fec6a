package dev.runhv.vmm.process;

import dev.runhv.vmm.abi.MalformedException;
import dev.runhv.vmm.abi.StructWriter;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.WritableByteChannel;

/**
 * A frame of the control channel ({@code control.h}), after its bounds were checked.
 *
 * @param type one of the constants, for an answer with {@link #ANSWER} added
 * @param request the number of the request that it answers; 0 in events
 */
public record ControlFrame(int type, int request, ByteBuffer payload) {
    static final int VERSION = 1;
    static final int HELLO = 1;
    static final int STATE = 2;
    static final int START = 3;
    static final int SIGNAL = 4;
    static final int STOP = 5;
    static final int PAUSE = 6;
    static final int RESUME = 7;
    static final int STATISTICS = 8;
    static final int PROCESS_START = 9;
    static final int RESIZE = 10;
    static final int STREAM = 12;
    static final int EVENT = 0x4000;
    static final int ERROR = 0x4001;
    static final int ANSWER = 0x8000;
    static final int WANTS_EVENTS = 1;

    /** Of a payload. */
    public static final int MAX_PAYLOAD = (1 << 20) + 4096;

    static final int MAX_ANSWER = 16384;
    private static final int HEADER_BYTES = 16;

    public static void write(WritableByteChannel channel, int type, int request, byte[] payload) throws IOException {
        if (payload.length > MAX_PAYLOAD) {
            throw new IllegalArgumentException(payload.length + " bytes");
        }
        ByteBuffer frame = ByteBuffer.allocate(HEADER_BYTES + payload.length).order(ByteOrder.LITTLE_ENDIAN);
        frame.putInt(payload.length)
                .putShort((short) type)
                .putShort((short) 0)
                .putInt(request)
                .putInt(0)
                .put(payload)
                .flip();
        while (frame.hasRemaining()) {
            channel.write(frame);
        }
    }

    /** The next frame of a micro-VM's process, as {@link #read(ReadableByteChannel, int)}. */
    static ControlFrame read(ReadableByteChannel channel) throws IOException {
        return read(channel, MAX_ANSWER);
    }

    /**
     * The next frame; null at the end.
     *
     * @param most bytes of its payload
     * @throws MalformedException where a bound is broken, before anything of the payload is read
     */
    public static ControlFrame read(ReadableByteChannel channel, int most) throws IOException {
        ByteBuffer header = ByteBuffer.allocate(HEADER_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        if (!fill(channel, header)) {
            return null;
        }
        int length = header.getInt(0);
        if (length < 0 || length > most) {
            throw new MalformedException(
                    "A frame says " + Integer.toUnsignedString(length) + " bytes, and may have " + most);
        }
        ByteBuffer payload = ByteBuffer.allocate(length);
        if (length > 0 && !fill(channel, payload)) {
            throw new EOFException();
        }
        return new ControlFrame(Short.toUnsignedInt(header.getShort(4)), header.getInt(8), payload);
    }

    // False where nothing came at all.
    private static boolean fill(ReadableByteChannel channel, ByteBuffer buffer) throws IOException {
        while (buffer.hasRemaining()) {
            if (channel.read(buffer) < 0) {
                if (buffer.position() == 0) {
                    return false;
                }
                throw new EOFException();
            }
        }
        buffer.flip();
        return true;
    }

    static byte[] hello(int flags) {
        return new StructWriter(16).int32(VERSION).int32(flags).bytes();
    }
}
