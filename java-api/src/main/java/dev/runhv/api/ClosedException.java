package dev.runhv.api;

/** The object was used after it was closed. */
public final class ClosedException extends RunhvException {
    public ClosedException(String operation, String detail, Throwable cause) {
        super(ErrorCode.CLOSED, operation, detail, null, cause);
    }
}
