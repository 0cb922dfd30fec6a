package dev.runhv.vmm.content;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/**
 * Replaces and deletes files that others may have open. Windows refuses that, and whoever has one open (a reader of ours, an
 * indexer, a scanner of viruses) has it for a moment: so it is tried again there, some times. Elsewhere an open file is in
 * nobody's way, and a refusal is the answer.
 */
public final class HeldFiles {
    /** Of one replacement or deletion; with the waits between them, a second. */
    static final int ATTEMPTS = 20;

    private static final long LONGEST_WAIT_MILLIS = 64;

    private HeldFiles() {}

    private interface Attempt<T> {
        T run() throws IOException;
    }

    /** The file gets the name of the target, in whose place it comes: as a whole, or not. */
    public static void replace(Path file, Path target) throws IOException {
        attempt(
                target,
                () -> Files.move(file, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING));
    }

    /** @return whether it was there */
    public static boolean deleteIfExists(Path file) throws IOException {
        return attempt(file, () -> Files.deleteIfExists(file));
    }

    private static <T> T attempt(Path file, Attempt<T> attempt) throws IOException {
        long wait = 1;
        for (int left = ATTEMPTS - 1; ; left--) {
            try {
                return attempt.run();
            } catch (FileSystemException e) {
                if (left == 0 || !mayBeHeld(file, e)) {
                    throw e;
                }
            }
            sleep(wait);
            wait = Math.min(2 * wait, LONGEST_WAIT_MILLIS);
        }
    }

    /** A sharing violation has no type of its own, and is denied access where a file is replaced. */
    private static boolean mayBeHeld(Path file, FileSystemException refusal) {
        boolean posix = file.getFileSystem().supportedFileAttributeViews().contains("posix");
        return !posix && (refusal instanceof AccessDeniedException || refusal.getClass() == FileSystemException.class);
    }

    private static void sleep(long millis) throws InterruptedIOException {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            throw (InterruptedIOException) new InterruptedIOException().initCause(e);
        }
    }
}
