package dev.runhv.api;

import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.util.Optional;

/**
 * A container that was started, in a micro-VM of its own. Every method may be called from any thread; the streams are
 * for one thread at a time each.
 *
 * <p>What the container writes waits in its pipes until it is read: a program that reads neither stream, while the
 * container writes more than the pipes hold, waits for ever in {@link #waitFor()}.
 */
public interface Container extends AutoCloseable {
    /** {@link ContainerSpec#name()}, or the one that was made up. */
    String name();

    /** Of the host's process that is the micro-VM. */
    long pid();

    /**
     * What is written here the container reads as its standard input; closing it ends that. It is buffered:
     * what shall arrive now needs a flush. Where the specification does
     * not connect it, a stream on which each write throws {@link java.io.IOException}.
     */
    OutputStream stdin();

    /** What the container writes to its standard output, at its end when the container has ended. */
    InputStream stdout();

    /** The same of its standard error; also what runhv itself has to say about this container. */
    InputStream stderr();

    /**
     * Sends a signal to the container's first process. Of no effect once the container has ended. What comes before the
     * program runs is kept for it, but {@code INT} and {@code TERM} end a guest that is not up yet. {@code KILL} ends
     * the micro-VM.
     *
     * @throws ClosedException after {@link #close()}
     * @throws UnsupportedException where this host can only send {@code TERM} and {@code KILL}
     */
    void signal(Signal signal);

    /**
     * Waits until the container has ended. Gives the same answer when asked again, also after {@link #close()}.
     *
     * @throws RunhvException of the type that fits where the micro-VM failed on its way: {@link GuestException} when the
     *     guest crashed or broke the rules
     * @throws InterruptedException when the thread is interrupted; the container goes on
     */
    ExitStatus waitFor() throws InterruptedException;

    /**
     * Waits no longer than this.
     *
     * @return empty where the container goes on
     * @see #waitFor()
     */
    Optional<ExitStatus> waitFor(Duration timeout) throws InterruptedException;

    /**
     * Waits until the container has ended, then tells how its start went.
     *
     * @return empty where it was killed before it could be measured
     */
    Optional<StartTimings> timings() throws InterruptedException;

    /**
     * Ends the container at once if it runs, waits for that, and removes everything that was made for it. Closing it again
     * does nothing.
     */
    @Override
    void close();
}
