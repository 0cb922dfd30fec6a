package dev.runhv.api;

import org.jspecify.annotations.Nullable;

/** A fault of runhv itself: please report it. */
public final class InternalException extends RunhvException {
    InternalException(
            ErrorCode code, String operation, String detail, @Nullable OsError osError, @Nullable Throwable cause) {
        super(code, operation, detail, osError, cause);
    }
}
