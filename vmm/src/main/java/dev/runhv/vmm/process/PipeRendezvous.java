package dev.runhv.vmm.process;

import java.io.EOFException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;

/** The process listens, since the JDK makes no pipe that others could open, and the launcher looks for it. */
final class PipeRendezvous implements Rendezvous {
    private static final int LOOK_AGAIN_MILLIS = 2;

    private final Path folder;
    private volatile boolean gone;

    /** @param folder made by the process, and closed to other users by it */
    PipeRendezvous(Path folder) {
        this.folder = folder;
    }

    private Path place() {
        return folder.resolve("control");
    }

    @Override
    public List<String> options() {
        return List.of("--control-listen", folder.toString());
    }

    @Override
    public LocalConnection await() throws IOException {
        while (true) {
            boolean last = gone;
            try {
                return LocalConnection.connect(place());
            } catch (NoSuchFileException e) {
                if (last) {
                    throw new EOFException("The process has ended");
                }
            }
            try {
                Thread.sleep(LOOK_AGAIN_MILLIS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new InterruptedIOException();
            }
        }
    }

    @Override
    public void wake() {
        gone = true;
    }

    /** {@inheritDoc} The process has removed what it made, unless it was killed meanwhile. */
    @Override
    public void close() throws IOException {
        Files.deleteIfExists(place());
    }
}
