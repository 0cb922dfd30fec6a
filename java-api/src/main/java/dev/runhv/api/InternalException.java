package dev.runhv.api;

/** A fault of runhv itself. */
public final class InternalException extends RunhvException {
    public InternalException(String operation, String detail, OsError osError, Throwable cause) {
        super(ErrorCode.INTERNAL, operation, detail, osError, cause);
    }
}
