package dev.runhv.vmm.process;

import java.io.IOException;
import java.nio.channels.ByteChannel;
import java.nio.file.Path;

/**
 * A connection to a process of this host: a local socket, on Windows a named pipe. One thread may read while another one
 * writes; to be interrupted meanwhile closes it.
 */
interface LocalConnection extends ByteChannel {
    /**
     * Connects to whoever listens there.
     *
     * @throws java.nio.file.NoSuchFileException where nobody does on Windows
     */
    static LocalConnection connect(Path place) throws IOException {
        return Distribution.WINDOWS ? PipeConnection.to(place) : SocketConnection.to(place);
    }

    /** Says that no more comes, where one direction can end alone. */
    void endOutput() throws IOException;
}
