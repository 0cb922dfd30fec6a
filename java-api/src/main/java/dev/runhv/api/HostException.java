package dev.runhv.api;

/** The host failed: its memory, its disks, its operating system. */
public final class HostException extends RunhvException {
    public HostException(ErrorCode code, String operation, String detail, OsError osError, Throwable cause) {
        super(code, operation, detail, osError, cause);
    }
}
