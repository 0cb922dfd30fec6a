package dev.runhv.vmm.image;

/** An image cannot be read: it is not there, it is damaged, or it asks for what runhv does not do. */
public final class ImageException extends RuntimeException {
    /** What kind of failure it is. */
    public enum Code {
        INVALID_ARGUMENT,
        NOT_FOUND,
        CORRUPT_INPUT,
        UNSUPPORTED,
        ACCESS_DENIED,
        NO_SPACE,
        HOST_FAILED
    }

    private final Code code;
    private final String operation;

    public ImageException(Code code, String operation, String detail, Throwable cause) {
        super(detail, cause);
        this.code = code;
        this.operation = operation;
    }

    public Code code() {
        return code;
    }

    public String operation() {
        return operation;
    }
}
