package dev.runhv.vmm.service;

import java.io.IOException;
import java.nio.channels.ByteChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.UserPrincipal;
import jdk.net.ExtendedSocketOptions;

/** The standard input as a listener. Whoever made it holds the lock of its folder for this process. */
public final class SocketListener implements ClientListener {
    /** What lies in the folder. */
    private static final String SOCKET = "socket";

    private static final String LOCK = "lock";

    private final Path folder;
    private ServerSocketChannel listener; // null before it is open
    private UserPrincipal user;

    /** @param folder of the socket where it listens, and of its lock, closed to other users */
    public SocketListener(Path folder) {
        this(folder, null);
    }

    /** @param listener in place of the standard input */
    SocketListener(Path folder, ServerSocketChannel listener) {
        this.folder = folder;
        this.listener = listener;
    }

    @Override
    public void open() throws IOException {
        if (listener == null) {
            listener = inherited();
        }
        user = Files.exists(folder) ? Files.getOwner(folder) : null; // else it was withdrawn, and accepts nobody
    }

    private static ServerSocketChannel inherited() throws IOException {
        if (System.inheritedChannel() instanceof ServerSocketChannel channel) {
            return channel;
        }
        throw new IOException("The standard input is no listener");
    }

    @Override
    public ByteChannel accept() throws IOException {
        while (true) {
            SocketChannel channel = listener.accept();
            if (isOurUsers(channel)) {
                return channel;
            }
            channel.close();
        }
    }

    private boolean isOurUsers(SocketChannel channel) {
        try {
            return channel.getOption(ExtendedSocketOptions.SO_PEERCRED).user().equals(user);
        } catch (IOException e) {
            return false;
        }
    }

    @Override
    public void withdraw() {
        try {
            // The lock goes last: while it has its name, nobody else makes a file in the folder.
            Files.deleteIfExists(folder.resolve(SOCKET));
            Files.deleteIfExists(folder.resolve(LOCK));
            Files.deleteIfExists(folder);
        } catch (IOException e) {
            // A name that stays is taken over by the next service.
        }
    }

    @Override
    public void close() {
        try {
            listener.close();
        } catch (IOException e) {
            // It is closed all the same.
        }
    }
}
