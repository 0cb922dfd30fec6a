package dev.runhv.vmm.process;

import java.io.IOException;
import java.nio.channels.ByteChannel;
import java.nio.file.Path;

/**
 * A connection to a process of this host: a local socket, on Windows a named pipe. One thread may read while another one
 * writes; to be interrupted meanwhile closes it.
 */
public interface LocalConnection extends ByteChannel {
    /**
     * Connects to whoever listens there.
     *
     * @throws java.nio.file.NoSuchFileException where nobody does on Windows
     */
    static LocalConnection connect(Path place) throws IOException {
        return Distribution.WINDOWS ? PipeConnection.to(place) : SocketConnection.to(place);
    }

    /**
     * Whether this user is at the other end; root connects to anybody's listener. On Windows the JDK does not tell, and the
     * folder that the place is in has let nobody else in.
     */
    boolean isOurs() throws IOException;

    /** Says that no more comes, where one direction can end alone. */
    void endOutput() throws IOException;
}
