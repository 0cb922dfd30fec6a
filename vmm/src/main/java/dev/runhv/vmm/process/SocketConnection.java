package dev.runhv.vmm.process;

import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import jdk.net.ExtendedSocketOptions;

record SocketConnection(SocketChannel socket) implements LocalConnection {
    static SocketConnection to(Path place) throws IOException {
        try (SocketPath path = SocketPath.of(place)) {
            return new SocketConnection(SocketChannel.open(UnixDomainSocketAddress.of(path.path())));
        }
    }

    @Override
    public int read(ByteBuffer to) throws IOException {
        return socket.read(to);
    }

    @Override
    public int write(ByteBuffer from) throws IOException {
        return socket.write(from);
    }

    @Override
    public boolean isOurs() throws IOException {
        return socket.getOption(ExtendedSocketOptions.SO_PEERCRED).user().equals(Files.getOwner(Path.of("/proc/self")));
    }

    @Override
    public void endOutput() throws IOException {
        try {
            socket.shutdownOutput();
        } catch (ClosedChannelException e) {
            return; // the process has ended
        }
    }

    @Override
    public boolean isOpen() {
        return socket.isOpen();
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }
}
