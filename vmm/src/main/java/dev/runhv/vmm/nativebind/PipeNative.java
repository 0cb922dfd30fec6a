package dev.runhv.vmm.nativebind;

/**
 * Local sockets on Windows, which the JDK does not make: {@code native/jni/windows/pipe_native.cc}, in the library that
 * {@link RunhvNative#load} loads. Threads: any; calls that wait block the carrier of a virtual thread. What fails throws
 * {@link NativeFailure}.
 */
public final class PipeNative {
    private PipeNative() {}

    /**
     * Makes a folder that only this user may enter, holds it as long as this process lives, and listens there as {@code
     * socket}.
     *
     * @param folder its path, UTF-8
     */
    public static native long listen(byte[] folder);

    /** Waits for the next client of this user; 0 once {@link #closeListener} was called. By one thread at a time. */
    public static native long accept(long listener);

    /** Takes the folder away. Nobody who waits to be accepted is any more. */
    public static native void withdraw(long listener);

    public static native void closeListener(long listener);

    /** The standard output as a connection, which it must be: a copy of it. */
    public static native long standardOutput();

    /** Waits until something comes. @return how many bytes; -1: the other side has closed, or {@link #close} was called */
    public static native int read(long connection, byte[] to);

    /** Waits until all of it is on its way. @return false as {@link #read} */
    public static native boolean write(long connection, byte[] from);

    public static native void close(long connection);
}
