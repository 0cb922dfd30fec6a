package dev.runhv.api;

import java.util.Objects;
import java.util.Optional;

/**
 * An operation did not succeed. Names what was attempted, on what, and why it did not work; keeps the number of the
 * operating system where there is one.
 */
public abstract sealed class RunhvException extends RuntimeException
        permits RequestException,
                ImageException,
                UnsupportedException,
                HypervisorException,
                HostException,
                GuestException,
                ClosedException,
                InternalException {
    private final ErrorCode code;
    private final String operation;
    private final String detail;
    private final OsError osError;

    RunhvException(ErrorCode code, String operation, String detail, OsError osError, Throwable cause) {
        super(message(operation, detail, osError), cause);
        this.code = Objects.requireNonNull(code);
        this.operation = operation;
        this.detail = detail;
        this.osError = osError;
    }

    /**
     * The exception for a code.
     *
     * @param operation what was attempted, on what, as it follows "Cannot": {@code start container web}
     * @param detail why it did not work, and where it helps what to do; a sentence without its stop
     * @param osError null where there is none
     * @param cause null where there is none
     */
    public static RunhvException of(ErrorCode code, String operation, String detail, OsError osError, Throwable cause) {
        return switch (code) {
            case INVALID_ARGUMENT, NOT_FOUND, CONFLICT, CORRUPT_INPUT ->
                new RequestException(code, operation, detail, osError, cause);
            case UNSUPPORTED -> new UnsupportedException(operation, detail, osError, cause);
            case HYPERVISOR_ABSENT -> new HypervisorException(operation, detail, osError, cause);
            case ACCESS_DENIED, OUT_OF_MEMORY, NO_SPACE, HOST_FAILED ->
                new HostException(code, operation, detail, osError, cause);
            case GUEST_FAILED, TIMED_OUT -> new GuestException(code, operation, detail, osError, cause);
            case CLOSED -> new ClosedException(operation, detail, cause);
            case INTERNAL -> new InternalException(operation, detail, osError, cause);
        };
    }

    public final ErrorCode code() {
        return code;
    }

    /** What was attempted, on what. */
    public final String operation() {
        return operation;
    }

    /** Why it did not work. */
    public final String detail() {
        return detail;
    }

    /** The number of the operating system, where it was the one that failed. */
    public final Optional<OsError> osError() {
        return Optional.ofNullable(osError);
    }

    private static String message(String operation, String detail, OsError osError) {
        String message = "Cannot " + operation + ": " + detail;
        return osError == null ? message : message + " (" + osError + ")";
    }
}
