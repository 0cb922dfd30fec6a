package dev.runhv.api;

import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/**
 * Another process in a running container; made by {@link Container#exec}. Every method may be called from any thread; the
 * streams are for one thread at a time each. It ends with the container at the latest. Implemented by runhv; later versions
 * can do more.
 */
public interface ExecProcess {
    /**
     * What is written here the process reads as its standard input; closing it ends that. With a terminal it is its
     * keyboard, and closing it hangs up.
     *
     * @return not buffered; where the specification does not connect it, each write throws {@link java.io.IOException}
     */
    OutputStream stdin();

    /**
     * What the process writes to its standard output, or to its terminal.
     *
     * @return with {@link Output#keep} or {@link Output#pipe}; else it is at its end at once
     */
    InputStream stdout();

    /**
     * What the process writes to its standard error.
     *
     * @return with {@link Output#keep} or {@link Output#pipe}; else, and with a terminal, it is at its end at once
     */
    InputStream stderr();

    /**
     * Sends a signal to the process. Of no effect once it has ended.
     *
     * @param signal the one
     */
    void signal(Signal signal);

    /**
     * Gives the terminal another size.
     *
     * @param columns 1 to 65535
     * @param rows 1 to 65535
     * @throws RequestException where the process has no terminal, or the size is none
     */
    void resize(int columns, int rows);

    /**
     * Is complete when the process has ended and its output is there.
     *
     * @return a new one each time; cancelling it changes nothing. Fails with a {@link RunhvException} where the micro-VM
     *     failed
     */
    CompletableFuture<ExitStatus> onExit();

    /**
     * Waits until the process has ended and its output is there.
     *
     * @return the same answer when asked again
     * @throws RunhvException where the micro-VM failed
     * @throws InterruptedException where the thread is interrupted; the process goes on
     */
    ExitStatus waitFor() throws InterruptedException;

    /**
     * Waits no longer than this.
     *
     * @param timeout any; one that is not positive asks only
     * @return empty where the process goes on
     * @throws RunhvException where the micro-VM failed
     * @throws InterruptedException where the thread is interrupted; the process goes on
     */
    Optional<ExitStatus> waitFor(Duration timeout) throws InterruptedException;
}
