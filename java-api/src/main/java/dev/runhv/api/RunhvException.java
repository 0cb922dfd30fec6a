package dev.runhv.api;

import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * An operation did not succeed. Names what was attempted, on what, and why it did not work; keeps the number of the
 * operating system where there is one.
 *
 * <p>The type follows from the {@linkplain ErrorCode code}, and with it from whose move it is:
 *
 * <table>
 * <caption>Types</caption>
 * <tr><th>type</th><th>codes</th></tr>
 * <tr><td>{@link RequestException}</td><td>{@code INVALID_ARGUMENT NOT_FOUND CONFLICT CORRUPT_INPUT}</td></tr>
 * <tr><td>{@link UnsupportedException}</td><td>{@code UNSUPPORTED}</td></tr>
 * <tr><td>{@link HypervisorException}</td><td>{@code HYPERVISOR_ABSENT}</td></tr>
 * <tr><td>{@link HostException}</td><td>{@code ACCESS_DENIED OUT_OF_MEMORY NO_SPACE HOST_FAILED}</td></tr>
 * <tr><td>{@link GuestException}</td><td>{@code GUEST_FAILED TIMED_OUT}</td></tr>
 * <tr><td>{@link ClosedException}</td><td>{@code CLOSED}</td></tr>
 * <tr><td>{@link InternalException}</td><td>{@code INTERNAL}</td></tr>
 * </table>
 *
 * <p>A later version may have more codes and more types: whoever tells them apart needs a branch for the rest.
 */
public abstract class RunhvException extends RuntimeException {
    /** What kind of thing went wrong. */
    private final ErrorCode code;

    /** What was attempted, on what. */
    private final String operation;

    /** Why it did not work. */
    private final String detail;

    /** Null where there is none. */
    private final @Nullable OsError osError;

    RunhvException(
            ErrorCode code, String operation, String detail, @Nullable OsError osError, @Nullable Throwable cause) {
        super(message(operation, detail, osError), cause);
        this.code = Objects.requireNonNull(code, "code");
        this.operation = Objects.requireNonNull(operation, "operation");
        this.detail = Objects.requireNonNull(detail, "detail");
        this.osError = osError;
    }

    /**
     * The exception for a code.
     *
     * @param code decides the type
     * @param operation what was attempted, on what, as it follows "Cannot": {@code start container web}
     * @param detail why it did not work, and where it helps what to do; a sentence without its stop
     * @param osError null where there is none
     * @param cause null where there is none
     * @return to be thrown
     */
    @SuppressWarnings("exports") // of the annotations, which nobody needs at run time
    public static RunhvException of(
            ErrorCode code, String operation, String detail, @Nullable OsError osError, @Nullable Throwable cause) {
        return switch (code) {
            case INVALID_ARGUMENT, NOT_FOUND, CONFLICT, CORRUPT_INPUT ->
                new RequestException(code, operation, detail, osError, cause);
            case UNSUPPORTED -> new UnsupportedException(code, operation, detail, osError, cause);
            case HYPERVISOR_ABSENT -> new HypervisorException(code, operation, detail, osError, cause);
            case ACCESS_DENIED, OUT_OF_MEMORY, NO_SPACE, HOST_FAILED ->
                new HostException(code, operation, detail, osError, cause);
            case GUEST_FAILED, TIMED_OUT -> new GuestException(code, operation, detail, osError, cause);
            case CLOSED -> new ClosedException(code, operation, detail, osError, cause);
            case INTERNAL -> new InternalException(code, operation, detail, osError, cause);
        };
    }

    /**
     * What kind of thing went wrong.
     *
     * @return the code
     */
    public final ErrorCode code() {
        return code;
    }

    /**
     * What was attempted, on what.
     *
     * @return as it follows "Cannot"
     */
    public final String operation() {
        return operation;
    }

    /**
     * Why it did not work.
     *
     * @return a sentence without its stop
     */
    public final String detail() {
        return detail;
    }

    /**
     * The number of the operating system, where it was the one that failed.
     *
     * @return the number and whose it is
     */
    public final Optional<OsError> osError() {
        return Optional.ofNullable(osError);
    }

    private static String message(String operation, String detail, @Nullable OsError osError) {
        String message = "Cannot " + operation + ": " + detail;
        return osError == null ? message : message + " (" + osError + ")";
    }
}
