package dev.runhv.vmm.content;

import java.io.ByteArrayInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Arrays;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.zip.CRC32;

/**
 * Gzip (RFC 1952) decompressed by ISA-L, three times as fast as by the JDK, where the host has that library. Members one behind
 * the other are one content; what follows them and is none is left alone. One thread at a time reads; close ends the
 * memory that the library works in.
 */
final class IsalInputStream extends BlockInputStream {
    private static final String LIBRARY = "libisal.so.2";
    private static final int INPUT = 1 << 16;
    private static final int OUTPUT = 1 << 18;

    // struct inflate_state of igzip_lib.h. Callers allocate it, so that its layout is a part of what the 2 of the name
    // promises.
    private static final int NEXT_OUT = 0;
    private static final int AVAILABLE_OUT = 8;
    private static final int NEXT_IN = 16;
    private static final int AVAILABLE_IN = 32;
    private static final int BLOCK_STATE = 21_160;
    private static final int CRC_FLAG = 21_172;
    /** It has 87,368. */
    private static final int STATE_BYTES = 1 << 17;

    private static final int BLOCK_FINISH = 5;
    private static final int GZIP = 1;

    private final Library library;
    private final InputStream in;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment state = arena.allocate(STATE_BYTES, 64);
    private final MemorySegment input = arena.allocate(INPUT);
    private final MemorySegment output = arena.allocate(OUTPUT);
    private final byte[] received = new byte[INPUT];
    private int outputAt;
    private int outputEnd;
    private boolean inputEnded;
    private boolean ended;

    private IsalInputStream(Library library, InputStream in) {
        this.library = library;
        this.in = in;
        begin();
        state.set(ValueLayout.JAVA_INT, AVAILABLE_IN, 0);
    }

    /** The functions of the library. */
    private record Library(MethodHandle initialize, MethodHandle inflate) {
        static final Optional<Library> FOUND = find();

        @SuppressWarnings("restricted") // the module is launched with --enable-native-access
        private static Optional<Library> find() {
            // A program that embeds runhv may not have allowed it, and would be warned.
            if (!IsalInputStream.class.getModule().isNativeAccessEnabled()) {
                return Optional.empty();
            }
            try {
                SymbolLookup symbols = SymbolLookup.libraryLookup(LIBRARY, Arena.global());
                Linker linker = Linker.nativeLinker();
                Library library = new Library(
                        linker.downcallHandle(
                                symbols.findOrThrow("isal_inflate_init"),
                                FunctionDescriptor.ofVoid(ValueLayout.ADDRESS)),
                        linker.downcallHandle(
                                symbols.findOrThrow("isal_inflate"),
                                FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS)));
                return library.isAsExpected() ? Optional.of(library) : Optional.empty();
            } catch (IllegalArgumentException | NoSuchElementException e) {
                return Optional.empty(); // no such library, or another one of that name
            }
        }

        /** Whether the library is the one whose layout is written above: it finds the end of a member. */
        private boolean isAsExpected() {
            // "runhv", stored: gzip -n
            byte[] member = {
                0x1f,
                (byte) 0x8b,
                8,
                0,
                0,
                0,
                0,
                0,
                0,
                3,
                1,
                5,
                0,
                (byte) 0xfa,
                (byte) 0xff,
                'r',
                'u',
                'n',
                'h',
                'v',
                0,
                0,
                0,
                0,
                5,
                0,
                0,
                0
            };
            CRC32 crc = new CRC32();
            crc.update(member, 15, 5);
            for (int i = 0; i < 4; i++) {
                member[20 + i] = (byte) (crc.getValue() >> 8 * i);
            }
            try (IsalInputStream stream = new IsalInputStream(this, new ByteArrayInputStream(member))) {
                return Arrays.equals(stream.readAllBytes(), 0, 5, member, 15, 20);
            } catch (IOException e) {
                return false;
            }
        }

        void initialize(MemorySegment state) {
            try {
                initialize.invokeExact(state);
            } catch (Throwable e) {
                throw new IllegalStateException(e); // invokeExact declares it; the function throws nothing
            }
        }

        int inflate(MemorySegment state) {
            try {
                return (int) inflate.invokeExact(state);
            } catch (Throwable e) {
                throw new IllegalStateException(e);
            }
        }
    }

    /** @return empty where the host has no such library */
    static Optional<InputStream> of(InputStream compressed) {
        return Library.FOUND.map(library -> new IsalInputStream(library, compressed));
    }

    @Override
    public int read(byte[] buffer, int offset, int length) throws IOException {
        if (length == 0) {
            return 0;
        }
        while (outputAt == outputEnd) {
            if (ended) {
                return -1;
            }
            inflate();
        }
        int count = Math.min(length, outputEnd - outputAt);
        MemorySegment.copy(output, ValueLayout.JAVA_BYTE, outputAt, buffer, offset, count);
        outputAt += count;
        return count;
    }

    /** The library's state for a member from its start on; the input stays. */
    private void begin() {
        long nextIn = state.get(ValueLayout.JAVA_LONG, NEXT_IN);
        int available = state.get(ValueLayout.JAVA_INT, AVAILABLE_IN);
        library.initialize(state);
        state.set(ValueLayout.JAVA_LONG, NEXT_IN, nextIn);
        state.set(ValueLayout.JAVA_INT, AVAILABLE_IN, available);
        state.set(ValueLayout.JAVA_INT, CRC_FLAG, GZIP);
    }

    private void inflate() throws IOException {
        int before = state.get(ValueLayout.JAVA_INT, AVAILABLE_IN);
        if (before == 0) {
            before = receive(0);
        }
        state.set(ValueLayout.JAVA_LONG, NEXT_OUT, output.address());
        state.set(ValueLayout.JAVA_INT, AVAILABLE_OUT, OUTPUT);
        int result = library.inflate(state);
        if (result != 0) {
            throw new CorruptInputException("The gzip data is damaged: ISA-L says " + result);
        }
        outputAt = 0;
        outputEnd = OUTPUT - state.get(ValueLayout.JAVA_INT, AVAILABLE_OUT);
        if (state.get(ValueLayout.JAVA_INT, BLOCK_STATE) == BLOCK_FINISH) {
            ended = !nextMember();
        } else if (outputEnd == 0 && state.get(ValueLayout.JAVA_INT, AVAILABLE_IN) == before) {
            if (inputEnded) {
                throw new EOFException("The gzip data is truncated");
            }
            throw new IllegalStateException("ISA-L takes no input");
        }
    }

    /** Whether another member follows (RFC 1952 §2.2). */
    private boolean nextMember() throws IOException {
        int available = state.get(ValueLayout.JAVA_INT, AVAILABLE_IN);
        while (available < 2 && !inputEnded) {
            available = receive(available);
        }
        long at = state.get(ValueLayout.JAVA_LONG, NEXT_IN) - input.address();
        if (available < 2
                || input.get(ValueLayout.JAVA_BYTE, at) != 0x1f
                || input.get(ValueLayout.JAVA_BYTE, at + 1) != (byte) 0x8b) {
            return false;
        }
        begin();
        return true;
    }

    /**
     * Reads more input.
     *
     * @param kept how many bytes at the end of what there is have not been used
     * @return how many there are now
     */
    private int receive(int kept) throws IOException {
        if (kept > 0) {
            long at = state.get(ValueLayout.JAVA_LONG, NEXT_IN) - input.address();
            MemorySegment.copy(input, at, input, 0, kept);
        }
        int read = in.read(received, 0, INPUT - kept);
        inputEnded = read < 0;
        int count = Math.max(read, 0);
        MemorySegment.copy(received, 0, input, ValueLayout.JAVA_BYTE, kept, count);
        state.set(ValueLayout.JAVA_LONG, NEXT_IN, input.address());
        state.set(ValueLayout.JAVA_INT, AVAILABLE_IN, kept + count);
        return kept + count;
    }

    @Override
    public void close() throws IOException {
        if (arena.scope().isAlive()) {
            arena.close();
        }
        in.close();
    }
}
