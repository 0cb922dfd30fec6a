package dev.runhv.vmm.image;

import dev.runhv.vmm.image.ImageException.Code;
import java.io.EOFException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.Locale;

/** The one place where failures of this module's input get their code and their words. */
public final class Failures {
    private Failures() {}

    public static ImageException invalid(String operation, String detail) {
        return new ImageException(Code.INVALID_ARGUMENT, operation, detail, null);
    }

    public static ImageException notFound(String operation, String detail) {
        return new ImageException(Code.NOT_FOUND, operation, detail, null);
    }

    public static ImageException corrupt(String operation, String detail) {
        return new ImageException(Code.CORRUPT_INPUT, operation, detail, null);
    }

    public static ImageException unsupported(String operation, String detail) {
        return new ImageException(Code.UNSUPPORTED, operation, detail, null);
    }

    /** A failure of reading or writing a file of the host, or of decoding what was read from it. */
    public static ImageException of(String operation, IOException cause) {
        return switch (cause) {
            case CorruptInputException e -> new ImageException(Code.CORRUPT_INPUT, operation, e.getMessage(), e);
            case EOFException e ->
                new ImageException(Code.CORRUPT_INPUT, operation, "The data ends too early: it is truncated", e);
            case NoSuchFileException e ->
                new ImageException(Code.NOT_FOUND, operation, "No such file: " + e.getFile(), e);
            case AccessDeniedException e ->
                new ImageException(Code.ACCESS_DENIED, operation, "Permission denied: " + e.getFile(), e);
            case FileSystemException e
            when isFull(e) -> new ImageException(Code.NO_SPACE, operation, "No space left: " + e.getFile(), e);
            case IOException e
            when isFull(e) -> new ImageException(Code.NO_SPACE, operation, "No space left on the device", e);
            case IOException e -> new ImageException(Code.HOST_FAILED, operation, describe(e), e);
        };
    }

    private static String describe(IOException e) {
        return e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    }

    // The JDK has no type for ENOSPC, EDQUOT or ERROR_DISK_FULL: only the system's words tell.
    private static boolean isFull(IOException e) {
        String message = describe(e).toLowerCase(Locale.ROOT);
        return message.contains("no space left")
                || message.contains("quota exceeded")
                || message.contains("not enough space on the disk");
    }
}
