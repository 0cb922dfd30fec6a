package dev.runhv.vmm.nativebind;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.HostException;
import dev.runhv.api.OsError;
import dev.runhv.api.UnsupportedException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;

/** Signals to processes of this host beyond the two that Java can send. */
public final class HostSignal {
    private static final int NO_SUCH_PROCESS = 3; // ESRCH

    private HostSignal() {}

    @SuppressWarnings("restricted") // the module is launched with --enable-native-access
    // Apart from the class above, which can be asked where there is no kill().
    private static final class Posix {
        static final StructLayout CAPTURED = Linker.Option.captureStateLayout();
        static final VarHandle ERRNO = CAPTURED.varHandle(MemoryLayout.PathElement.groupElement("errno"));
        static final MethodHandle KILL = Linker.nativeLinker()
                .downcallHandle(
                        Linker.nativeLinker().defaultLookup().findOrThrow("kill"),
                        FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT),
                        Linker.Option.captureCallState("errno"));
    }

    /**
     * Sends a signal to a child of this JVM; nothing happens where it has ended.
     *
     * @throws UnsupportedException on Windows, which has no signals
     */
    public static void send(ProcessHandle child, int signal) {
        String operation = "send signal " + signal + " to process " + child.pid();
        if (System.getProperty("os.name").startsWith("Windows")) {
            throw new UnsupportedException(operation, "Windows has no signals: use TERM or KILL", null, null);
        }
        // The JVM reaps its children soon after their end. Numbers of processes are given anew only after all others
        // were used, so that between this question and the call the number cannot come to mean another process.
        if (!child.isAlive()) {
            return;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(Posix.CAPTURED);
            int result = (int) Posix.KILL.invokeExact(state, (int) child.pid(), signal);
            int errno = (int) Posix.ERRNO.get(state, 0L);
            if (result != 0 && errno != NO_SUCH_PROCESS) {
                throw new HostException(
                        ErrorCode.HOST_FAILED,
                        operation,
                        "kill() failed",
                        new OsError(OsError.Domain.ERRNO, errno),
                        null);
            }
        } catch (RuntimeException e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException(e); // invokeExact declares it; kill() throws nothing
        }
    }
}
