package dev.runhv.api;

/** An image cannot be used: not there, damaged, for another platform, or its root file system cannot be stored. */
public final class ImageException extends RunhvException {
    public ImageException(ErrorCode code, String operation, String detail, OsError osError, Throwable cause) {
        super(code, operation, detail, osError, cause);
    }
}
