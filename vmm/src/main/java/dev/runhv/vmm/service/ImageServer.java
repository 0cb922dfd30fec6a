package dev.runhv.vmm.service;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.channels.ByteChannel;
import java.time.Duration;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;

/**
 * Answers the requests of commands of its own user, each on threads of its own, until nobody has asked for a while
 * (docs/service.md). Who started it is answered first, before there is all that the others need: a person waits for it.
 */
public final class ImageServer {
    /** Served at once; one more is turned away, and its command works alone. */
    static final int CLIENTS = 64;

    /** How long others may wait for the first answer. */
    static final Duration FIRST = Duration.ofMillis(200);

    /** How soon after the last request the heap is given back: a script's next command comes sooner. */
    private static final Duration REST = Duration.ofSeconds(5);

    /** What is asked for: one request read, one answer written (docs/prepare.md). */
    public interface Verbs {
        /**
         * On a thread that is interrupted when its client has gone.
         *
         * @param errors what its user sees meanwhile
         * @return the status of the answer
         */
        int answer(InputStream request, OutputStream answer, PrintStream errors)
                throws IOException, InterruptedException;
    }

    private final ClientListener listener;
    private final String identity;
    private final Duration idle;
    private final Duration patience;
    private final Verbs verbs;
    private final Set<ServedClient> clients = new HashSet<>();
    private ServedClient first; // null where nobody has handed over a connection
    private boolean serves; // others than the first
    private ScheduledExecutorService timer; // null before it is needed
    private ScheduledFuture<?> end; // null while there is a client
    private ScheduledFuture<?> rest;
    private long requests;
    private int running;
    private boolean stopping;

    /**
     * @param identity what a client must say: of which distribution it is, and in which surroundings
     * @param idle how long it stays without a client
     */
    public ImageServer(ClientListener listener, String identity, Duration idle, Verbs verbs) {
        this(listener, identity, idle, FIRST, verbs);
    }

    /** @param patience how long others may wait for the first answer */
    ImageServer(ClientListener listener, String identity, Duration idle, Duration patience, Verbs verbs) {
        this.listener = listener;
        this.identity = identity;
        this.idle = idle;
        this.patience = patience;
        this.verbs = verbs;
    }

    /** Serves who has handed over a connection; returns when he has his answer, or has waited for a while. */
    public void serveFirst(ByteChannel connection) throws InterruptedException {
        first = new ServedClient(this, connection);
        admit(first);
        start(first).join(patience);
    }

    private static Thread start(ServedClient client) {
        return Thread.ofPlatform().name("runhv-service-client").start(client);
    }

    /** Returns once it has been idle for long enough or was told to stop, and the last client has gone. */
    public void serve() throws IOException, InterruptedException {
        open();
        try {
            while (true) {
                accept(listener.accept());
            }
        } catch (IOException e) {
            // Closed by stop(). Else the host fails (no more descriptors): the next command begins a new service.
            stop();
        }
        synchronized (this) {
            while (!clients.isEmpty()) {
                wait();
            }
        }
        timer().shutdownNow();
    }

    private synchronized void open() throws IOException {
        listener.open();
        serves = true;
        if (stopping) { // by the first request: the folder is gone
            closeListener();
            return;
        }
        if (clients.isEmpty() && end == null) {
            beIdle();
        }
    }

    private void accept(ByteChannel channel) throws IOException {
        ServedClient client = new ServedClient(this, channel);
        if (admit(client)) {
            start(client);
        } else {
            channel.close();
        }
    }

    private synchronized boolean admit(ServedClient client) {
        if (stopping || clients.size() == CLIENTS) {
            return false;
        }
        if (end != null) {
            end.cancel(false);
            rest.cancel(false);
            end = null;
        }
        return clients.add(client);
    }

    /** A client's threads have ended. */
    synchronized void ended(ServedClient client) {
        clients.remove(client);
        if (stopping) {
            closeListener();
        }
        if (clients.isEmpty()) {
            beIdle();
            notifyAll();
        }
    }

    private synchronized void beIdle() {
        rest = timer().schedule(System::gc, REST.toNanos(), TimeUnit.NANOSECONDS);
        end = timer().schedule(this::stopIfIdle, idle.toNanos(), TimeUnit.NANOSECONDS);
    }

    private synchronized void stopIfIdle() {
        if (clients.isEmpty()) {
            stop();
        }
    }

    /** Takes no further client; who waits to be accepted works alone. A new service may begin at once. */
    synchronized void stop() {
        if (stopping) {
            return;
        }
        stopping = true;
        listener.withdraw();
        closeListener();
    }

    /**
     * Unless the first client is here: the JDK makes the standard output the null device when it closes an inherited channel,
     * and that is his connection. Who connects meanwhile is turned away.
     */
    private void closeListener() {
        if (serves && !clients.contains(first)) {
            listener.close();
        }
    }

    synchronized String status() {
        return "pid %d: %d requests so far, %d now; memory %d MiB; ends after %d s without one\n"
                .formatted(
                        ProcessHandle.current().pid(),
                        requests,
                        running,
                        Runtime.getRuntime().totalMemory() >> 20,
                        idle.toSeconds());
    }

    /** A client knows that its request was taken. */
    synchronized void begun() {
        requests++;
        running++;
    }

    /** Before its client knows that. */
    synchronized void done() {
        running--;
    }

    String identity() {
        return identity;
    }

    Verbs verbs() {
        return verbs;
    }

    synchronized ScheduledExecutorService timer() {
        if (timer == null) {
            timer = Executors.newSingleThreadScheduledExecutor(
                    Thread.ofPlatform().daemon().name("runhv-service-timer").factory());
        }
        return timer;
    }
}
