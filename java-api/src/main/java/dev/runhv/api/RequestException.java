package dev.runhv.api;

import org.jspecify.annotations.Nullable;

/** What the caller asked for cannot be: a value out of its range, an image that is not there or is damaged, a name that is taken. */
public final class RequestException extends RunhvException {
    RequestException(
            ErrorCode code, String operation, String detail, @Nullable OsError osError, @Nullable Throwable cause) {
        super(code, operation, detail, osError, cause);
    }
}
