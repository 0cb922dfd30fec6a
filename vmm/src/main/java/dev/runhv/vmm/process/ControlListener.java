package dev.runhv.vmm.process;

import java.io.Closeable;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;

/** Where one micro-VM's process connects to its launcher, before it does anything else. */
final class ControlListener implements Closeable {
    private final Path path;
    private final SocketPath bound;
    private final ServerSocketChannel server;

    private ControlListener(Path path, SocketPath bound, ServerSocketChannel server) {
        this.path = path;
        this.bound = bound;
        this.server = server;
    }

    /** @param folder closed to other users */
    static ControlListener open(Path folder) throws IOException {
        Path path = folder.resolve("launcher");
        SocketPath bound = SocketPath.of(path);
        try {
            ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
            try {
                server.bind(UnixDomainSocketAddress.of(bound.path()));
                return new ControlListener(path, bound, server);
            } catch (IOException | RuntimeException e) {
                server.close();
                throw e;
            }
        } catch (IOException | RuntimeException e) {
            bound.close();
            throw e;
        }
    }

    /** What the process connects to. */
    Path path() {
        return bound.path();
    }

    /** Waits for the one connection. */
    SocketChannel accept() throws IOException {
        return server.accept();
    }

    /** Lets {@link #accept} return where nobody has come: what it returns is at its end. */
    void wake() {
        try (SocketChannel nobody = SocketChannel.open(UnixDomainSocketAddress.of(bound.path()))) {
            nobody.shutdownOutput();
        } catch (IOException e) {
            return; // it is closed: somebody has come
        }
    }

    @Override
    public void close() throws IOException {
        server.close();
        Files.deleteIfExists(path);
        bound.close();
    }
}
