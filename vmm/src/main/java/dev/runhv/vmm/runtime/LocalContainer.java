package dev.runhv.vmm.runtime;

import dev.runhv.api.Container;
import dev.runhv.api.ContainerEvent;
import dev.runhv.api.ContainerState;
import dev.runhv.api.ContainerStatistics;
import dev.runhv.api.ErrorCode;
import dev.runhv.api.ExecProcess;
import dev.runhv.api.ExecSpec;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.RunhvException;
import dev.runhv.api.Signal;
import dev.runhv.api.StartStage;
import dev.runhv.api.StartTimings;
import dev.runhv.api.TerminalSize;
import dev.runhv.vmm.abi.VmEvent;
import dev.runhv.vmm.abi.VmState;
import dev.runhv.vmm.abi.VmStatistics;
import dev.runhv.vmm.jfr.StartEvents;
import dev.runhv.vmm.process.ExecStreams;
import dev.runhv.vmm.process.Launch;
import dev.runhv.vmm.process.Outcome;
import dev.runhv.vmm.process.VmmProcess;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;

/** A container whose micro-VM is a child of this JVM. */
final class LocalContainer implements Container {
    /**
     * What was made for a container before its micro-VM.
     *
     * @param terminal of the first process
     * @param stages what took how long, in their order
     */
    record Prepared(
            WorkFolder folder,
            ExecPlan plan,
            Optional<TerminalSize> terminal,
            Map<StartStage, Duration> stages,
            StartEvents events) {}

    private final String name;
    private final Prepared prepared;
    private final Consumer<? super ContainerEvent> listener;
    // One at a time, in their order, and not by the thread that reads the channel: a listener may ask the container.
    private final ExecutorService telling = Executors.newSingleThreadExecutor(
            Thread.ofVirtual().name("runhv-events-", 0).factory());
    private final CompletableFuture<Outcome> ended;
    private final AtomicBoolean closed = new AtomicBoolean();
    private final Instant createdAt = Instant.now();
    private final VmmProcess process;
    private volatile Instant startedAt; // null: not yet
    private volatile Instant endedAt; // null: not yet

    /** @param whenEnded is called once, when all is over and cleaned up */
    LocalContainer(
            Launch launch,
            Prepared prepared,
            Consumer<? super ContainerEvent> listener,
            Consumer<LocalContainer> whenEnded) {
        this.name = launch.id();
        this.prepared = prepared;
        this.listener = listener;
        process = VmmProcess.spawn(launch, pid -> tell(new ContainerEvent.Spawned(pid)), this::happened);
        CompletableFuture<Void> begun = process.started().thenRun(this::begun);
        ended = process.ended()
                .thenCombine(begun, (outcome, nothing) -> outcome)
                .thenApply(outcome -> {
                    end(outcome);
                    whenEnded.accept(this);
                    return outcome;
                });
    }

    /** Waits until the container is prepared. @throws RunhvException where that failed */
    void awaitCreated() throws InterruptedException {
        Waiting.on(process.created());
        throwIfFailed();
    }

    /** Waits until the program is in place, or the container has ended. @throws RunhvException where the micro-VM failed */
    void awaitStarted() throws InterruptedException {
        Waiting.on(process.started());
        throwIfFailed();
    }

    // Where it has ended without a start the outcome is near.
    private void throwIfFailed() throws InterruptedException {
        if (!process.running() && process.started().isDone()) {
            Waiting.on(ended).statusOrThrow();
        }
    }

    private void happened(VmEvent event) {
        switch (event.kind()) {
            case CREATED -> tell(new ContainerEvent.Created());
            case STARTED -> {
                startedAt = Instant.now();
                tell(new ContainerEvent.Started());
            }
            case OUT_OF_MEMORY -> tell(new ContainerEvent.OutOfMemory(event.oomKills()));
            case PAUSED -> tell(new ContainerEvent.Paused());
            case RESUMED -> tell(new ContainerEvent.Resumed());
            case WARNING ->
                tell(new ContainerEvent.Warning(
                        event.error().operation(), event.error().detail()));
            case PROCESS_STARTED, PROCESS_ENDED, ENDED, UNKNOWN -> {
                // Told by the process itself, by end(), and by nobody.
            }
        }
    }

    private void tell(ContainerEvent event) {
        telling.execute(() -> {
            try {
                listener.accept(event);
            } catch (RuntimeException e) {
                System.getLogger(LocalContainer.class.getName())
                        .log(Level.WARNING, "A listener of container " + name + " failed", e);
            }
        });
    }

    private void begun() {
        startStatistics()
                .ifPresent(statistics ->
                        prepared.events().started(statistics.timings().after(prepared.stages()), statistics));
    }

    // Empty where it never started.
    private Optional<VmStatistics> startStatistics() {
        return process.running() ? process.lastStatistics() : Optional.empty();
    }

    private void end(Outcome outcome) {
        endedAt = Instant.now();
        startStatistics()
                .ifPresent(statistics -> prepared.events().ended(outcome.status(), statistics, process.oomKills()));
        prepared.folder().remove();
        tell(
                outcome.failure() == null
                        ? new ContainerEvent.Ended(outcome.status())
                        : new ContainerEvent.Failed(outcome.failure()));
        telling.shutdown();
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
    public void start() throws InterruptedException {
        String operation = "start container " + name;
        checkOpen(operation);
        try {
            process.requests().start();
        } catch (RunhvException e) {
            // Started before, it is a conflict whether or not it has ended meanwhile.
            if (e.code() != ErrorCode.CLOSED || startedAt != null) {
                throw e.code() == ErrorCode.CLOSED ? Errors.conflict(operation, "It was started before") : e;
            }
        }
        awaitStarted();
    }

    @Override
    public ExecProcess exec(ExecSpec spec) throws InterruptedException {
        String operation = "run another process in container " + name;
        checkOpen(operation);
        byte[] json = prepared.plan().json(spec);
        try {
            return new LocalExec(
                    name,
                    process.execute(json, new ExecStreams(spec.stdin(), spec.stdout(), spec.stderr(), spec.terminal())),
                    spec);
        } catch (RunhvException e) {
            throw notRunning(operation, e);
        }
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
        checkOpen("send " + signal + " to container " + name);
        Errors.unlessEnded(() -> process.requests().signal(0, signal));
    }

    @Override
    public void resize(int columns, int rows) {
        String operation = "resize the terminal of container " + name;
        TerminalSize size = new TerminalSize(columns, rows);
        checkOpen(operation);
        Errors.checkTerminal(prepared.terminal(), operation);
        Errors.unlessEnded(() -> process.requests().resize(0, size));
    }

    @Override
    public ExitStatus stop(Duration grace) throws InterruptedException {
        checkOpen("stop container " + name);
        Errors.unlessEnded(() -> process.requests().stop(grace));
        return waitFor();
    }

    @Override
    public void pause() {
        String operation = "pause container " + name;
        checkOpen(operation);
        try {
            process.requests().pause();
        } catch (RunhvException e) {
            throw notRunning(operation, e);
        }
    }

    @Override
    public void resume() {
        String operation = "resume container " + name;
        checkOpen(operation);
        try {
            process.requests().resume();
        } catch (RunhvException e) {
            throw notRunning(operation, e);
        }
    }

    private static RunhvException notRunning(String operation, RunhvException e) {
        return e.code() == ErrorCode.CLOSED ? Errors.conflict(operation, "It does not run") : e;
    }

    @Override
    public ContainerState state() {
        if (endedAt == null) {
            try {
                return process.requests().state();
            } catch (RunhvException e) {
                if (e.code() != ErrorCode.CLOSED) {
                    throw e;
                }
            }
        }
        Optional<Instant> end = Optional.of(endedAt == null ? Instant.now() : endedAt);
        return new VmState(ContainerState.Status.STOPPED, createdAt, Optional.ofNullable(startedAt), end, 0);
    }

    @Override
    public ContainerStatistics statistics() {
        if (endedAt == null) {
            try {
                return process.statistics();
            } catch (RunhvException e) {
                if (e.code() != ErrorCode.CLOSED) {
                    throw e;
                }
            }
        }
        return process.lastStatistics()
                .orElseThrow(() -> RunhvException.of(
                        ErrorCode.NOT_FOUND,
                        "read the statistics of container " + name,
                        "It ended before they were known",
                        null,
                        null));
    }

    @Override
    public Optional<StartTimings> timings() {
        return startStatistics().map(statistics -> statistics.timings().after(prepared.stages()));
    }

    @Override
    public int oomKills() {
        return process.oomKills();
    }

    @Override
    public CompletableFuture<ExitStatus> onExit() {
        return ended.thenApply(Outcome::statusOrThrow);
    }

    @Override
    public ExitStatus waitFor() throws InterruptedException {
        return Waiting.on(ended).statusOrThrow();
    }

    @Override
    public Optional<ExitStatus> waitFor(Duration timeout) throws InterruptedException {
        return Waiting.on(ended, timeout).map(Outcome::statusOrThrow);
    }

    private void checkOpen(String operation) {
        if (closed.get()) {
            throw Errors.closed(operation, "The container was closed", null);
        }
    }

    @Override
    public void close() {
        if (closed.compareAndSet(false, true)) {
            process.kill();
        }
        ended.join();
    }
}
