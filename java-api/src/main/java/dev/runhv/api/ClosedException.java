package dev.runhv.api;

import org.jspecify.annotations.Nullable;

/** The object was used after it was closed, or closed during the call. */
public final class ClosedException extends RunhvException {
    ClosedException(
            ErrorCode code, String operation, String detail, @Nullable OsError osError, @Nullable Throwable cause) {
        super(code, operation, detail, osError, cause);
    }
}
