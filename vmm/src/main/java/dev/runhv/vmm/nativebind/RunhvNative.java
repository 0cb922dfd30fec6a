package dev.runhv.vmm.nativebind;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The core's C interface, {@code native/jni/runhv_native.cc}. Each method may throw {@link NativeFailure}. Structures are
 * those of {@code dev.runhv.vmm.abi}, in bytes.
 */
public final class RunhvNative {
    private static final int ABI_VERSION = 2;

    private static Path loaded; // guarded by the class

    private RunhvNative() {}

    /**
     * Loads the library, once for this JVM.
     *
     * @throws RunhvException where there is none, or the system cannot load it
     */
    @SuppressWarnings("restricted") // the module is launched with --enable-native-access
    public static synchronized void load(Path library) {
        if (library.equals(loaded)) {
            return;
        }
        String operation = "load the native library " + library;
        if (loaded != null) {
            throw failure(ErrorCode.CONFLICT, operation, "This JVM has loaded " + loaded + " before", null);
        }
        if (!Files.exists(library)) {
            throw failure(
                    ErrorCode.NOT_FOUND,
                    operation,
                    "There is no such file: the native build leaves it out where it finds no JDK;"
                            + " build again with JAVA_HOME set",
                    null);
        }
        try {
            System.load(library.toString());
        } catch (UnsatisfiedLinkError e) {
            throw failure(ErrorCode.HOST_FAILED, operation, e.getMessage(), e);
        }
        if (abiVersion() != ABI_VERSION) {
            throw failure(
                    ErrorCode.INTERNAL,
                    operation,
                    "It has version " + abiVersion() + " of the interface, not " + ABI_VERSION
                            + ": jars and library are of two distributions",
                    null);
        }
        loaded = library;
    }

    private static RunhvException failure(ErrorCode code, String operation, String detail, Throwable cause) {
        return RunhvException.of(code, operation, detail, null, cause);
    }

    static native int abiVersion();

    /** Texts are UTF-8 without NUL; empty is null. Handles of the system, -1 for none. */
    public static native long create(
            byte[] id,
            byte[] bundle,
            byte[] engine,
            byte[] kernel,
            byte[] initrd,
            byte[] scratch,
            long standardInput,
            long standardOutput,
            long standardError);

    public static native void boot(long vm);

    public static native void start(long vm);

    /** @return {@code runhv_event}; null where there is none now */
    public static native byte[] event(long vm);

    /** @return to be waited for until {@link #destroy}, {@link EventHandle#await} */
    public static native long eventHandle(long vm);

    /** @return {@code runhv_state} */
    public static native byte[] state(long vm);

    /** @return {@code runhv_statistics} */
    public static native byte[] statistics(long vm);

    public static native void signal(long vm, int process, int number);

    /** @param number 0 for the bundle's stop signal */
    public static native void stop(long vm, int number, int graceMilliseconds);

    public static native void pause(long vm);

    public static native void resume(long vm);

    /**
     * @param json the {@code process} object of the OCI runtime specification, UTF-8 without NUL
     * @return the number of the process
     */
    public static native int startProcess(
            long vm, byte[] json, long standardInput, long standardOutput, long standardError);

    /** @return address and size; to be read until {@link #destroy} */
    public static native long[] statisticsPage(long vm);

    /** @return guest-physical address, address and size, to be read until {@link #destroy}; null after the last piece */
    public static native long[] guestMemory(long vm, int index);

    public static native void destroy(long vm);
}
