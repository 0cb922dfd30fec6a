package dev.runhv.vmm.runtime;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;

/** Calls that come when they cannot be. */
final class Errors {
    private Errors() {}

    static RunhvException closed(String operation, String detail, Throwable cause) {
        return RunhvException.of(ErrorCode.CLOSED, operation, detail, null, cause);
    }

    static RunhvException conflict(String operation, String detail) {
        return RunhvException.of(ErrorCode.CONFLICT, operation, detail, null, null);
    }
}
