package dev.runhv.api;

import org.jspecify.annotations.Nullable;

/** What runs in the micro-VM failed or broke the rules. Other containers are not affected. */
public final class GuestException extends RunhvException {
    GuestException(
            ErrorCode code, String operation, String detail, @Nullable OsError osError, @Nullable Throwable cause) {
        super(code, operation, detail, osError, cause);
    }
}
