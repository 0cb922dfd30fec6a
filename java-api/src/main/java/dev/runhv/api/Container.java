package dev.runhv.api;

import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/**
 * A container in a micro-VM of its own. Every method may be called from any thread; the streams are for one thread at a time
 * each. Implemented by runhv; later versions can do more.
 *
 * <p>What a container writes does not stop it where nobody reads: see {@link Output#keep(int)}.
 */
public interface Container extends AutoCloseable {
    /**
     * The container's name.
     *
     * @return {@link ContainerSpec#name()}, or the one that was made up
     */
    String name();

    /**
     * The host's process that is the micro-VM.
     *
     * @return its number
     */
    long pid();

    /**
     * Lets the program run, and returns when it does, or when the container has ended instead: see {@link #waitFor()}.
     *
     * @throws RequestException with {@link ErrorCode#CONFLICT} where it was started before
     * @throws ClosedException after {@link #close()}
     * @throws RunhvException where the micro-VM failed
     * @throws InterruptedException where the thread is interrupted; the container goes on
     */
    void start() throws InterruptedException;

    /**
     * Runs another program in the container, and returns when it is in place, or could not be started: see
     * {@link ExecProcess#waitFor()}.
     *
     * @param spec what to run
     * @return the process
     * @throws RequestException with {@link ErrorCode#CONFLICT} where the container does not run or has too many processes
     * @throws ClosedException after {@link #close()}
     * @throws InterruptedException where the thread is interrupted; the process, where it was begun, is killed
     */
    ExecProcess exec(ExecSpec spec) throws InterruptedException;

    /**
     * What is written here the container reads as its standard input; closing it ends that.
     *
     * @return buffered: what shall arrive now needs a flush. Where the specification does not connect it, each write throws
     *     {@link java.io.IOException}
     */
    OutputStream stdin();

    /**
     * What the container writes to its standard output, at its end when the container has ended.
     *
     * @return with {@link Output#keep} or {@link Output#pipe}; else it is at its end at once
     */
    InputStream stdout();

    /**
     * The same of its standard error, with what runhv itself has to say about this container.
     *
     * @return with {@link Output#keep} or {@link Output#pipe}; else it is at its end at once
     */
    InputStream stderr();

    /**
     * Sends a signal to the container's first process. Of no effect once the container has ended. What comes before the
     * program runs is kept for it, but {@code INT} and {@code TERM} end a guest that is not up yet. {@link Signal#KILL} ends
     * the micro-VM.
     *
     * @param signal the one
     * @throws ClosedException after {@link #close()}
     */
    void signal(Signal signal);

    /**
     * Gives the first process's terminal another size. Of no effect once the container has ended.
     *
     * @param columns 1 to 65535
     * @param rows 1 to 65535
     * @throws RequestException where the process has no terminal, or the size is none
     * @throws ClosedException after {@link #close()}
     */
    void resize(int columns, int rows);

    /**
     * Asks the first process to end, by the image's stop signal, else {@link Signal#TERM}; kills it where it has not after
     * some time; waits for the end.
     *
     * @param grace the time; not positive: none
     * @return how the container ended
     * @throws ClosedException after {@link #close()}
     * @throws RunhvException where the micro-VM failed
     * @throws InterruptedException where the thread is interrupted; the container is stopped all the same
     */
    ExitStatus stop(Duration grace) throws InterruptedException;

    /**
     * Halts the container: no instruction of it runs when this returns.
     *
     * @throws RequestException with {@link ErrorCode#CONFLICT} where it is paused, or does not run
     * @throws ClosedException after {@link #close()}
     */
    void pause();

    /**
     * Lets a halted container go on.
     *
     * @throws RequestException with {@link ErrorCode#CONFLICT} where it is not paused
     * @throws ClosedException after {@link #close()}
     */
    void resume();

    /**
     * Where the container is on its way. May be asked after the end.
     *
     * @return now
     */
    ContainerState state();

    /**
     * What the container has used. May be asked after the end.
     *
     * @return until now; after the end, what was last known
     * @throws RequestException with {@link ErrorCode#NOT_FOUND} where it ended before it was known
     */
    ContainerStatistics statistics();

    /**
     * How its start went. Never waits for the container.
     *
     * @return empty until the program is in place, and for ever where it never came to be
     */
    Optional<StartTimings> timings();

    /**
     * How many processes the guest's kernel has killed because its memory had run out.
     *
     * @return those that are known
     */
    int oomKills();

    /**
     * Is complete when the container has ended and its output is there.
     *
     * @return a new one each time; cancelling it changes nothing. Fails with a {@link RunhvException} where the micro-VM
     *     failed
     */
    CompletableFuture<ExitStatus> onExit();

    /**
     * Waits until the container has ended and its output is there. Gives the same answer when asked again, also after
     * {@link #close()}.
     *
     * @return how it ended
     * @throws RunhvException of the type that fits where the micro-VM failed on its way: {@link GuestException} where the
     *     guest crashed or broke the rules
     * @throws InterruptedException where the thread is interrupted; the container goes on
     */
    ExitStatus waitFor() throws InterruptedException;

    /**
     * Waits no longer than this.
     *
     * @param timeout any; one that is not positive asks only
     * @return empty where the container goes on
     * @throws RunhvException where the micro-VM failed
     * @throws InterruptedException where the thread is interrupted; the container goes on
     */
    Optional<ExitStatus> waitFor(Duration timeout) throws InterruptedException;

    /**
     * Ends the container at once if it runs, waits for that, and removes everything that was made for it. How it ended, its
     * statistics and its output stay. Closing it again does nothing.
     */
    @Override
    void close();
}
