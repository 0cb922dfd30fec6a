package dev.runhv.api;

/** What runs in the micro-VM failed or broke the rules. Other containers are not affected. */
public final class GuestException extends RunhvException {
    public GuestException(ErrorCode code, String operation, String detail, OsError osError, Throwable cause) {
        super(code, operation, detail, osError, cause);
    }
}
