package dev.runhv.api;

import org.jspecify.annotations.Nullable;

/** The engine that was asked for is not on this host; the message says what it needs. */
public final class HypervisorException extends RunhvException {
    HypervisorException(
            ErrorCode code, String operation, String detail, @Nullable OsError osError, @Nullable Throwable cause) {
        super(code, operation, detail, osError, cause);
    }
}
