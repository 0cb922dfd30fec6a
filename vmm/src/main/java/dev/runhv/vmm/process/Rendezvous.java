package dev.runhv.vmm.process;

import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** Where one micro-VM's process and its launcher come together, before the process does anything else. */
interface Rendezvous extends Closeable {
    /** @param folder closed to other users */
    static Rendezvous in(Path folder) throws IOException {
        Path place = folder.resolve("launcher");
        return Distribution.WINDOWS ? new PipeRendezvous(place) : SocketRendezvous.at(place);
    }

    /** What the process is told of it on its command line. */
    List<String> options();

    /** Waits for the one connection. */
    LocalConnection await() throws IOException;

    /** The process has ended: {@link #await} returns what is at its end at once, or throws. */
    void wake();
}
