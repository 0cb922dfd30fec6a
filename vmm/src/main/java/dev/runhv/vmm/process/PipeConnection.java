package dev.runhv.vmm.process;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.AsynchronousFileChannel;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.ClosedChannelException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.regex.Pattern;

/**
 * A named pipe. It is opened for overlapped I/O, which is what an asynchronous channel is on Windows: on any other handle
 * the system lets a write wait until another thread's read has ended.
 */
final class PipeConnection implements LocalConnection {
    private static final String PIPES = "\\\\.\\pipe\\";
    /** As the core calls them: {@code native/platform/windows/named_pipe.h}. */
    private static final Pattern NAME = Pattern.compile("runhv-[0-9a-f]+");

    private static final int NAME_BYTES = 64;

    private final AsynchronousFileChannel pipe;

    private PipeConnection(AsynchronousFileChannel pipe) {
        this.pipe = pipe;
    }

    /** @param place a file that says the pipe's name */
    static PipeConnection to(Path place) throws IOException {
        String name;
        try (InputStream file = Files.newInputStream(place)) {
            name = new String(file.readNBytes(NAME_BYTES), StandardCharsets.US_ASCII);
        }
        // Whoever wrote something else there must not choose what is opened.
        if (!NAME.matcher(name).matches()) {
            throw new IOException("The file names no pipe of runhv: " + place);
        }
        return new PipeConnection(
                AsynchronousFileChannel.open(Path.of(PIPES + name), StandardOpenOption.READ, StandardOpenOption.WRITE));
    }

    @Override
    public int read(ByteBuffer to) throws IOException {
        try {
            return await(pipe.read(to, 0)); // a pipe has no positions
        } catch (ClosedChannelException e) {
            throw e;
        } catch (IOException e) {
            return -1; // on this host it breaks for one reason: the other end is closed
        }
    }

    @Override
    public int write(ByteBuffer from) throws IOException {
        return await(pipe.write(from, 0));
    }

    private int await(Future<Integer> begun) throws IOException {
        try {
            return begun.get();
        } catch (InterruptedException e) {
            pipe.close();
            Thread.currentThread().interrupt();
            throw new ClosedByInterruptException();
        } catch (ExecutionException e) {
            if (e.getCause() instanceof IOException failure) {
                throw failure;
            }
            throw new IllegalStateException(e.getCause());
        }
    }

    @Override
    public boolean isOurs() {
        return true;
    }

    /** {@inheritDoc} Both directions of a pipe end together. */
    @Override
    public void endOutput() {}

    @Override
    public boolean isOpen() {
        return pipe.isOpen();
    }

    @Override
    public void close() throws IOException {
        pipe.close();
    }
}
