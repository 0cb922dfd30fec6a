package dev.runhv.vmm.nativebind;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.abi.MalformedException;
import dev.runhv.vmm.abi.VmError;
import java.nio.ByteBuffer;

/** An error of the core as it crosses from native code, which makes it by this name and constructor. */
public final class NativeFailure extends RuntimeException {
    private final transient byte[] error;

    /** @param error a {@code runhv_error} */
    NativeFailure(byte[] error) {
        this.error = error;
    }

    /** What the API says of it. */
    public RunhvException toRunhvException() {
        try {
            RunhvException exception = VmError.read(ByteBuffer.wrap(error)).toException();
            exception.addSuppressed(this);
            return exception;
        } catch (MalformedException e) {
            return RunhvException.of(ErrorCode.INTERNAL, "read an error of the core", e.getMessage(), null, e);
        }
    }
}
