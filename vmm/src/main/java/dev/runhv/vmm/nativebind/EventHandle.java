package dev.runhv.vmm.nativebind;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.OsError;
import dev.runhv.api.RunhvException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;

/** Waits for a handle of the system to be readable. */
public final class EventHandle {
    private static final boolean WINDOWS = System.getProperty("os.name").startsWith("Windows");
    private static final int INTERRUPTED = 4; // EINTR
    private static final int TIMED_OUT = 258; // WAIT_TIMEOUT

    private EventHandle() {}

    @SuppressWarnings("restricted") // the module is launched with --enable-native-access
    private static final class Posix {
        static final short READABLE = 1; // POLLIN
        static final StructLayout CAPTURED = Linker.Option.captureStateLayout();
        static final VarHandle ERRNO = CAPTURED.varHandle(MemoryLayout.PathElement.groupElement("errno"));
        static final StructLayout ENTRY = MemoryLayout.structLayout(
                ValueLayout.JAVA_INT.withName("fd"),
                ValueLayout.JAVA_SHORT.withName("events"),
                ValueLayout.JAVA_SHORT.withName("revents"));
        static final MethodHandle POLL = Linker.nativeLinker()
                .downcallHandle(
                        Linker.nativeLinker().defaultLookup().findOrThrow("poll"),
                        FunctionDescriptor.of(
                                ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT),
                        Linker.Option.captureCallState("errno"));
    }

    @SuppressWarnings("restricted") // the module is launched with --enable-native-access
    private static final class Windows {
        static final MethodHandle WAIT = Linker.nativeLinker()
                .downcallHandle(
                        SymbolLookup.libraryLookup("kernel32", Arena.global()).findOrThrow("WaitForSingleObject"),
                        FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT));
    }

    /**
     * Blocks the carrier of a virtual thread: for platform threads.
     *
     * @return false where the time has passed, or a signal has come
     */
    public static boolean await(long handle, int timeoutMilliseconds) {
        try {
            return WINDOWS ? awaitWindows(handle, timeoutMilliseconds) : poll((int) handle, timeoutMilliseconds);
        } catch (RuntimeException e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException(e); // invokeExact declares it; the functions throw nothing
        }
    }

    private static boolean poll(int descriptor, int timeoutMilliseconds) throws Throwable {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(Posix.CAPTURED);
            MemorySegment entry = arena.allocate(Posix.ENTRY);
            entry.set(ValueLayout.JAVA_INT, 0, descriptor);
            entry.set(ValueLayout.JAVA_SHORT, Integer.BYTES, Posix.READABLE);
            int ready = (int) Posix.POLL.invokeExact(state, entry, 1L, timeoutMilliseconds);
            int errno = (int) Posix.ERRNO.get(state, 0L);
            if (ready < 0 && errno != INTERRUPTED) {
                throw failure(new OsError(OsError.Domain.ERRNO, errno));
            }
            return ready > 0;
        }
    }

    private static boolean awaitWindows(long handle, int timeoutMilliseconds) throws Throwable {
        int result = (int) Windows.WAIT.invokeExact(handle, timeoutMilliseconds);
        if (result != 0 && result != TIMED_OUT) {
            throw failure(null);
        }
        return result == 0;
    }

    private static RunhvException failure(OsError error) {
        return RunhvException.of(
                ErrorCode.HOST_FAILED, "wait for an event of a micro-VM", "The system refuses to wait", error, null);
    }
}
