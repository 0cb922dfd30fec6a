package dev.runhv.vmm.service;

import java.io.IOException;
import java.nio.channels.ByteChannel;

/** Where clients come from, and the folder that the service is found by. */
public interface ClientListener {
    /** Once, before the first {@link #accept}: what whoever started the service need not wait for. */
    void open() throws IOException;

    /**
     * Waits for the next client of this user; others are turned away. One thread may read of it while another one writes, and
     * closing it ends what they wait for.
     *
     * @throws IOException where the host fails, and once {@link #close} was called
     */
    ByteChannel accept() throws IOException;

    /** Takes the folder away: nobody new comes, and another service may begin. Threads: any; also before {@link #open}. */
    void withdraw();

    /** Threads: any. */
    void close();
}
