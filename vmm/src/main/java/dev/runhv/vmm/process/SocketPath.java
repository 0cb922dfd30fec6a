package dev.runhv.vmm.process;

import java.io.Closeable;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The name of a local socket as the system takes it: at most 106 bytes. A longer one is reached through a short link to its
 * folder.
 *
 * @param path short
 * @param link null where none was needed
 */
record SocketPath(Path path, Path link) implements Closeable {
    private static final int MAXIMUM_BYTES = 106; // sun_path, less two, as the JDK counts

    static SocketPath of(Path socket) throws IOException {
        if (fits(socket)) {
            return new SocketPath(socket, null);
        }
        Path folder = temporary();
        try {
            Path link = Files.createSymbolicLink(folder.resolve("d"), socket.getParent());
            Path path = link.resolve(socket.getFileName());
            if (!fits(path)) {
                throw new IOException("The path is too long for a socket: " + path);
            }
            return new SocketPath(path, link);
        } catch (IOException e) {
            Files.delete(folder);
            throw e;
        }
    }

    // The system's own, where Java's is what is too long.
    private static Path temporary() throws IOException {
        Path system = Path.of("/tmp");
        return Files.isWritable(system)
                ? Files.createTempDirectory(system, "runhv-")
                : Files.createTempDirectory("runhv-");
    }

    private static boolean fits(Path path) {
        return path.toString().getBytes(StandardCharsets.UTF_8).length <= MAXIMUM_BYTES;
    }

    @Override
    public void close() throws IOException {
        if (link != null) {
            Files.deleteIfExists(link);
            Files.deleteIfExists(link.getParent());
        }
    }
}
