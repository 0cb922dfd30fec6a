package dev.runhv.api;

/** What the caller asked for cannot be done as asked: a bad value, a file that is not there, a name that is taken. */
public final class RequestException extends RunhvException {
    public RequestException(ErrorCode code, String operation, String detail, OsError osError, Throwable cause) {
        super(code, operation, detail, osError, cause);
    }
}
