package dev.runhv.vmm.nativebind;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.HostException;
import dev.runhv.api.InternalException;
import dev.runhv.api.RequestException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The core's C interface, {@code native/jni/runhv_native.cc}. Each method may throw {@link NativeFailure}. */
final class RunhvNative {
    private static final int ABI_VERSION = 1;

    /** Numbers that {@link #statistics} gives: one, two for each of 8 stages, twice ten exits, four. */
    static final int STATISTICS = 1 + 2 * 8 + 2 * 10 + 4;

    private static Path loaded; // guarded by the class

    private RunhvNative() {}

    /**
     * Loads the library, once for this JVM.
     *
     * @throws RequestException where there is none
     * @throws HostException where the system cannot load it
     */
    @SuppressWarnings("restricted") // the module is launched with --enable-native-access
    static synchronized void load(Path library) {
        if (library.equals(loaded)) {
            return;
        }
        String operation = "load the native library " + library;
        if (loaded != null) {
            throw new RequestException(
                    ErrorCode.CONFLICT, operation, "This JVM has loaded " + loaded + " before", null, null);
        }
        if (!Files.exists(library)) {
            throw new RequestException(
                    ErrorCode.NOT_FOUND,
                    operation,
                    "There is no such file: the native build leaves it out where it finds no JDK;"
                            + " build again with JAVA_HOME set",
                    null,
                    null);
        }
        try {
            System.load(library.toString());
        } catch (UnsatisfiedLinkError e) {
            throw new HostException(ErrorCode.HOST_FAILED, operation, e.getMessage(), null, e);
        }
        if (abiVersion() != ABI_VERSION) {
            throw new InternalException(
                    operation,
                    "It has version " + abiVersion() + " of the interface, not " + ABI_VERSION
                            + ": jars and library are of two distributions",
                    null,
                    null);
        }
        loaded = library;
    }

    static native int abiVersion();

    /** Texts are UTF-8 without NUL; empty is null. Handles of the system, -1 for none. */
    static native long create(
            byte[] id,
            byte[] bundle,
            byte[] engine,
            byte[] kernel,
            byte[] initrd,
            byte[] scratch,
            long standardInput,
            long standardOutput,
            long standardError);

    static native void start(long vm);

    /**
     * Blocks the carrier of a virtual thread: for platform threads.
     *
     * @param timeoutMilliseconds -1 for no limit
     * @param reason gets the words of a container that was not started, ended by a NUL
     * @return {@code end << 32 | value}, or -1 where the time has passed
     */
    static native long await(long vm, int timeoutMilliseconds, byte[] reason);

    static native void signal(long vm, int number);

    /** @return {@link #STATISTICS} numbers in the order of {@code runhv_statistics} */
    static native long[] statistics(long vm, byte[] engine, byte[] kernel);

    /** @return address and size; to be read until {@link #destroy} */
    static native long[] statisticsPage(long vm);

    /** @return guest-physical address, address and size, to be read until {@link #destroy}; null after the last piece */
    static native long[] guestMemory(long vm, int index);

    static native void destroy(long vm);
}
