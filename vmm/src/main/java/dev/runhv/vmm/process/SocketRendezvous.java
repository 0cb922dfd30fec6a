package dev.runhv.vmm.process;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The launcher listens. */
final class SocketRendezvous implements Rendezvous {
    private final Path path;
    private final SocketPath bound;
    private final ServerSocketChannel server;

    private SocketRendezvous(Path path, SocketPath bound, ServerSocketChannel server) {
        this.path = path;
        this.bound = bound;
        this.server = server;
    }

    /** @param path in a folder that is closed to other users */
    static SocketRendezvous at(Path path) throws IOException {
        SocketPath bound = SocketPath.of(path);
        try {
            ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
            try {
                server.bind(UnixDomainSocketAddress.of(bound.path()));
                return new SocketRendezvous(path, bound, server);
            } catch (IOException | RuntimeException e) {
                server.close();
                throw e;
            }
        } catch (IOException | RuntimeException e) {
            bound.close();
            throw e;
        }
    }

    @Override
    public List<String> options() {
        return List.of("--control-connect", bound.path().toString());
    }

    @Override
    public LocalConnection await() throws IOException {
        return new SocketConnection(server.accept());
    }

    @Override
    public void wake() {
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
