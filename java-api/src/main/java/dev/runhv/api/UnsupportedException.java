package dev.runhv.api;

import org.jspecify.annotations.Nullable;

/** Understood, but not in this version or not on this host. */
public final class UnsupportedException extends RunhvException {
    UnsupportedException(
            ErrorCode code, String operation, String detail, @Nullable OsError osError, @Nullable Throwable cause) {
        super(code, operation, detail, osError, cause);
    }
}
