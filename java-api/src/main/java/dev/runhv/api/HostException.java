package dev.runhv.api;

import org.jspecify.annotations.Nullable;

/** The host failed: a full disk, too little memory, a refused access, or another error of its operating system. */
public final class HostException extends RunhvException {
    HostException(
            ErrorCode code, String operation, String detail, @Nullable OsError osError, @Nullable Throwable cause) {
        super(code, operation, detail, osError, cause);
    }
}
