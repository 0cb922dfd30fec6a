package dev.runhv.api;

/** Not in this version, or not on this host. */
public final class UnsupportedException extends RunhvException {
    public UnsupportedException(String operation, String detail, OsError osError, Throwable cause) {
        super(ErrorCode.UNSUPPORTED, operation, detail, osError, cause);
    }
}
