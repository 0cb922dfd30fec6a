package dev.runhv.vmm.service;

import dev.runhv.vmm.process.Distribution;
import dev.runhv.vmm.testing.InstalledDistribution;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.condition.OS;

/** A listener for a server in a test's process, as whoever starts the service leaves it, or on Windows as the service makes it. */
public final class TestListener {
    private TestListener() {}

    /** A folder for one and what belongs to it, with a path that is short enough for an address. */
    public static Path folderAbove() throws IOException {
        return OS.WINDOWS.isCurrentOs()
                ? Files.createTempDirectory("runhv-")
                : Files.createTempDirectory(Path.of("/tmp"), "runhv-");
    }

    /** @param folder is made; the listener is {@code socket} in it */
    public static ClientListener in(Path folder) throws IOException {
        if (OS.WINDOWS.isCurrentOs()) {
            return new PipeListener(
                    folder, Distribution.at(InstalledDistribution.home()).jniLibrary());
        }
        Files.createDirectory(folder);
        ServerSocketChannel listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        listener.bind(UnixDomainSocketAddress.of(folder.resolve("socket")));
        Files.createFile(folder.resolve("lock"));
        return new SocketListener(folder, listener);
    }
}
