package dev.runhv.vmm.content;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.OsError;
import dev.runhv.api.RunhvException;
import java.io.EOFException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileLockInterruptionException;
import java.nio.file.FileSystemException;

/**
 * The one place where failures with files get their code, the system's number and their words. The code gives the type:
 * a full disk is the host's fault, whatever was being read.
 */
public final class Failures {
    private Failures() {}

    public static RunhvException invalid(String operation, String detail) {
        return RunhvException.of(ErrorCode.INVALID_ARGUMENT, operation, printable(detail), null, null);
    }

    public static RunhvException notFound(String operation, String detail) {
        return RunhvException.of(ErrorCode.NOT_FOUND, operation, printable(detail), null, null);
    }

    public static RunhvException corrupt(String operation, String detail) {
        return RunhvException.of(ErrorCode.CORRUPT_INPUT, operation, printable(detail), null, null);
    }

    public static RunhvException unsupported(String operation, String detail) {
        return RunhvException.of(ErrorCode.UNSUPPORTED, operation, printable(detail), null, null);
    }

    /** What somebody else's program or document is the reason of. */
    public static RunhvException of(ErrorCode code, String operation, String detail) {
        return RunhvException.of(code, operation, printable(detail), null, null);
    }

    /**
     * A failure of reading or writing a file of the host, or of decoding what was read from it. What interrupts is no
     * failure: see {@link #throwIfInterrupted}.
     */
    public static RunhvException of(String operation, IOException cause) {
        return switch (cause) {
            case CorruptInputException e ->
                RunhvException.of(ErrorCode.CORRUPT_INPUT, operation, printable(e.getMessage()), null, e);
            case EOFException e ->
                RunhvException.of(
                        ErrorCode.CORRUPT_INPUT, operation, "The data ends too early: it is truncated", null, e);
            case QuotaExceededException e ->
                RunhvException.of(ErrorCode.NO_SPACE, operation, printable(e.getMessage()), null, e);
            case IOException e -> ofSystem(operation, e);
        };
    }

    /**
     * The way out of work that was interrupted, beside the way of failures.
     *
     * @throws InterruptedException where that is what the exception means; then the thread's flag is clear, as usual
     */
    public static void throwIfInterrupted(IOException cause) throws InterruptedException {
        switch (cause) {
            case ClosedByInterruptException e -> throw interrupted(e);
            case FileLockInterruptionException e -> throw interrupted(e);
            case InterruptedIOException e -> throw interrupted(e);
            case IOException e -> {}
        }
    }

    private static InterruptedException interrupted(IOException cause) {
        Thread.interrupted();
        InterruptedException interruption = new InterruptedException();
        interruption.initCause(cause);
        return interruption;
    }

    private static RunhvException ofSystem(String operation, IOException e) {
        int number = SystemErrors.number(e);
        OsError osError = SystemErrors.osError(number);
        String file = e instanceof FileSystemException named && named.getFile() != null ? ": " + named.getFile() : "";
        return switch (number) {
            case SystemErrors.ENOENT ->
                RunhvException.of(ErrorCode.NOT_FOUND, operation, printable("No such file" + file), osError, e);
            case SystemErrors.EACCES, SystemErrors.EPERM ->
                RunhvException.of(
                        ErrorCode.ACCESS_DENIED, operation, printable("Permission denied" + file), osError, e);
            case SystemErrors.EROFS ->
                RunhvException.of(ErrorCode.ACCESS_DENIED, operation, printable("Read-only" + file), osError, e);
            case SystemErrors.EEXIST ->
                RunhvException.of(
                        ErrorCode.HOST_FAILED,
                        operation,
                        printable("A file is where a folder should be" + file),
                        osError,
                        e);
            case SystemErrors.EFBIG ->
                RunhvException.of(
                        ErrorCode.NO_SPACE,
                        operation,
                        "A file would be larger than its file system or the limit of this process (ulimit -f) allows",
                        osError,
                        e);
            case SystemErrors.ENOSPC, SystemErrors.EDQUOT ->
                RunhvException.of(
                        ErrorCode.NO_SPACE,
                        operation,
                        printable("No space left" + (file.isEmpty() ? " on the device" : file)),
                        osError,
                        e);
            case SystemErrors.ENOMEM ->
                RunhvException.of(ErrorCode.OUT_OF_MEMORY, operation, "The host has too little memory", osError, e);
            default -> RunhvException.of(ErrorCode.HOST_FAILED, operation, printable(describe(e)), osError, e);
        };
    }

    /** Names in an image are anybody's: none may move a terminal's cursor, or forge a line. */
    private static String printable(String detail) {
        StringBuilder text = new StringBuilder(detail.length());
        detail.codePoints().forEach(c -> {
            if (Character.isISOControl(c)) {
                text.append("\\x%02x".formatted(c));
            } else {
                text.appendCodePoint(c);
            }
        });
        return text.toString();
    }

    private static String describe(IOException e) {
        return e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    }
}
