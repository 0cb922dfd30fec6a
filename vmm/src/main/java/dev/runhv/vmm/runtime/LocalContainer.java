package dev.runhv.vmm.runtime;

import dev.runhv.api.ClosedException;
import dev.runhv.api.Container;
import dev.runhv.api.ContainerEvent;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.Signal;
import dev.runhv.api.StartTimings;
import dev.runhv.vmm.jfr.StartEvents;
import dev.runhv.vmm.nativebind.HostSignal;
import dev.runhv.vmm.process.VmmProcess;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;

/** A container whose micro-VM is a child of this JVM. */
final class LocalContainer implements Container {
    private final String name;
    private final VmmProcess process;
    private final WorkFolder folder;
    private final Consumer<LocalContainer> whenClosed;
    private final CountDownLatch ended = new CountDownLatch(1);
    private final AtomicBoolean closed = new AtomicBoolean();
    private volatile VmmProcess.Outcome outcome; // set before `ended` opens

    LocalContainer(String name, VmmProcess process, WorkFolder folder, Consumer<LocalContainer> whenClosed) {
        this.name = name;
        this.process = process;
        this.folder = folder;
        this.whenClosed = whenClosed;
    }

    /** Once: learns of the end, cleans up after it and tells the listener. */
    void watch(Consumer<? super ContainerEvent> listener) {
        Thread.ofVirtual().name("runhv-watch-" + name).start(() -> {
            try {
                outcome = process.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e); // nobody has this thread to interrupt it
            }
            outcome.timings().ifPresent(timings -> StartEvents.commit(name, false, timings));
            folder.remove();
            ended.countDown();
            listener.accept(new ContainerEvent.Ended(outcome.status()));
        });
    }

    void endInput() {
        try {
            process.stdin().close();
        } catch (IOException e) {
            // The process has ended: its input with it.
        }
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public long pid() {
        return process.handle().pid();
    }

    @Override
    public OutputStream stdin() {
        return process.stdin();
    }

    @Override
    public InputStream stdout() {
        return process.stdout();
    }

    @Override
    public InputStream stderr() {
        return process.stderr();
    }

    @Override
    public void signal(Signal signal) {
        if (closed.get()) {
            throw new ClosedException("send " + signal + " to container " + name, "The container was closed", null);
        }
        switch (signal) {
            case KILL -> process.handle().destroyForcibly();
            case TERM -> process.handle().destroy();
            default -> HostSignal.send(process.handle(), signal.number());
        }
    }

    @Override
    public ExitStatus waitFor() throws InterruptedException {
        ended.await();
        return outcome.statusOrThrow();
    }

    @Override
    public Optional<ExitStatus> waitFor(Duration timeout) throws InterruptedException {
        return ended.await(timeout.toNanos(), TimeUnit.NANOSECONDS)
                ? Optional.of(outcome.statusOrThrow())
                : Optional.empty();
    }

    @Override
    public Optional<StartTimings> timings() throws InterruptedException {
        ended.await();
        return outcome.timings();
    }

    @Override
    public void close() {
        if (closed.compareAndSet(false, true)) {
            process.kill();
            folder.remove();
            whenClosed.accept(this);
        }
    }
}
