package dev.runhv.vmm.content;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.ImageException;
import java.io.EOFException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.Locale;

/** The one place where failures of this module's input get their code and their words. */
public final class Failures {
    private Failures() {}

    public static ImageException invalid(String operation, String detail) {
        return new ImageException(ErrorCode.INVALID_ARGUMENT, operation, printable(detail), null, null);
    }

    public static ImageException notFound(String operation, String detail) {
        return new ImageException(ErrorCode.NOT_FOUND, operation, printable(detail), null, null);
    }

    public static ImageException corrupt(String operation, String detail) {
        return new ImageException(ErrorCode.CORRUPT_INPUT, operation, printable(detail), null, null);
    }

    public static ImageException unsupported(String operation, String detail) {
        return new ImageException(ErrorCode.UNSUPPORTED, operation, printable(detail), null, null);
    }

    /** A failure of reading or writing a file of the host, or of decoding what was read from it. */
    public static ImageException of(String operation, IOException cause) {
        return switch (cause) {
            case CorruptInputException e ->
                new ImageException(ErrorCode.CORRUPT_INPUT, operation, printable(e.getMessage()), null, e);
            case EOFException e ->
                new ImageException(
                        ErrorCode.CORRUPT_INPUT, operation, "The data ends too early: it is truncated", null, e);
            case NoSuchFileException e ->
                new ImageException(ErrorCode.NOT_FOUND, operation, "No such file: " + e.getFile(), null, e);
            case AccessDeniedException e ->
                new ImageException(ErrorCode.ACCESS_DENIED, operation, "Permission denied: " + e.getFile(), null, e);
            case FileAlreadyExistsException e ->
                new ImageException(
                        ErrorCode.HOST_FAILED,
                        operation,
                        "A file is where a folder should be: " + e.getFile(),
                        null,
                        e);
            case FileSystemException e
            when isReadOnly(e) ->
                new ImageException(ErrorCode.ACCESS_DENIED, operation, "Read-only: " + e.getFile(), null, e);
            case IOException e
            when isTooLarge(e) ->
                new ImageException(
                        ErrorCode.NO_SPACE,
                        operation,
                        "A file would be larger than its file system or the limit of this process (ulimit -f) allows",
                        null,
                        e);
            case FileSystemException e
            when isFull(e) ->
                new ImageException(ErrorCode.NO_SPACE, operation, "No space left: " + e.getFile(), null, e);
            case IOException e
            when isFull(e) -> new ImageException(ErrorCode.NO_SPACE, operation, "No space left on the device", null, e);
            case IOException e -> new ImageException(ErrorCode.HOST_FAILED, operation, describe(e), null, e);
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

    private static boolean isReadOnly(IOException e) {
        return describe(e).toLowerCase(Locale.ROOT).contains("read-only file system");
    }

    private static boolean isTooLarge(IOException e) {
        return describe(e).toLowerCase(Locale.ROOT).contains("file too large");
    }

    // The JDK has no type for ENOSPC, EDQUOT or ERROR_DISK_FULL: only the system's words tell.
    private static boolean isFull(IOException e) {
        String message = describe(e).toLowerCase(Locale.ROOT);
        return message.contains("no space left")
                || message.contains("quota exceeded")
                || message.contains("not enough space on the disk");
    }
}
