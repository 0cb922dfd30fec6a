package dev.runhv.vmm.inprocess;

import dev.runhv.api.ContainerState;
import dev.runhv.api.ContainerStatistics;
import dev.runhv.api.ErrorCode;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.RunhvException;
import dev.runhv.api.Signal;
import dev.runhv.api.StartTimings;
import dev.runhv.vmm.abi.MalformedException;
import dev.runhv.vmm.abi.VmEvent;
import dev.runhv.vmm.abi.VmState;
import dev.runhv.vmm.abi.VmStatistics;
import dev.runhv.vmm.jfr.StartEvents;
import dev.runhv.vmm.nativebind.EventHandle;
import dev.runhv.vmm.nativebind.NativeFailure;
import dev.runhv.vmm.nativebind.RunhvNative;
import java.lang.System.Logger.Level;
import java.lang.ref.Cleaner;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;

/**
 * A micro-VM in this JVM's own process, for benchmarks, tests and those who accept that a fault of the core ends their
 * program. One at a time. Every method may be called from any thread; after {@link #close()} each that needs the core throws
 * {@link dev.runhv.api.ClosedException}: the core checks its handle, so that no order of calls can crash. The views of its
 * memory end with it: see {@link #statistics()} and {@link #guestMemory()}.
 */
public final class InProcessVm implements AutoCloseable {
    private static final Cleaner CLEANER = Cleaner.create();
    private static final int FIRST_PROCESS = 0;
    private static final int WAIT_MILLISECONDS = 1000; // then it is seen whether the VM was closed
    private static final long KILL_SECONDS = 10;

    private final long handle;
    private final String id;
    private final Liveness liveness;
    private final MemoryViews views = new MemoryViews();
    private final StartEvents events;
    private final AtomicBoolean followed = new AtomicBoolean();
    private final CountDownLatch followerEnded = new CountDownLatch(1);
    private final CompletableFuture<Void> created = new CompletableFuture<>();
    private final CompletableFuture<Void> started = new CompletableFuture<>();
    private final CompletableFuture<ExitStatus> ended = new CompletableFuture<>();
    private final Map<Integer, CompletableFuture<ExitStatus>> processes = new ConcurrentHashMap<>();
    private volatile boolean running; // the program is, or was, in place
    private volatile boolean closing;
    private volatile int oomKills;

    private InProcessVm(long handle, String id, StartEvents events) {
        this.handle = handle;
        this.id = id;
        this.events = events;
        this.liveness = new Liveness(id, new Throwable("made here"));
    }

    /**
     * Where the core and its files are.
     *
     * @param library the native library
     * @param kernel used where the bundle names none
     * @param initrd used where the bundle names none; holds the agent
     * @param scratch the empty file system of scratch disks
     */
    public record Core(Path library, Path kernel, Path initrd, Path scratch) {}

    /** What the three standard streams of a process are. */
    public enum Streams {
        /** The null device. */
        NULL(-1, -1, -1),
        /** Those of this process, on Linux. */
        INHERIT(0, 1, 2);

        private final long in;
        private final long out;
        private final long err;

        Streams(long in, long out, long err) {
            this.in = in;
            this.out = out;
            this.err = err;
        }
    }

    /**
     * Reads the bundle, opens its files and makes the machine; nothing runs yet. The bundle's folder is not needed any more.
     *
     * @param engine as {@code --engine}; empty: as the bundle says
     * @throws RunhvException of the type that fits; {@code CONFLICT} where this process has a VM already
     */
    public static InProcessVm create(Core core, String id, Path bundle, String engine, Streams streams) {
        RunhvNative.load(core.library().toAbsolutePath());
        StartEvents events = new StartEvents(id, true);
        long handle = crossing(() -> RunhvNative.create(
                utf8(id),
                utf8(bundle.toAbsolutePath().toString()),
                utf8(engine),
                utf8(core.kernel().toAbsolutePath().toString()),
                utf8(core.initrd().toAbsolutePath().toString()),
                utf8(core.scratch().toAbsolutePath().toString()),
                streams.in,
                streams.out,
                streams.err));
        InProcessVm vm = new InProcessVm(handle, id, events);
        CLEANER.register(vm, vm.liveness);
        return vm;
    }

    /** Runs the guest until all is prepared but the execution of the program: {@link #awaitCreated()}. */
    public void boot() {
        crossing(() -> RunhvNative.boot(handle));
        follow();
    }

    /** Lets the program run, and the guest where it was not booted. */
    public void start() {
        crossing(() -> RunhvNative.start(handle));
        follow();
    }

    /** Waits until the container is prepared, or has ended. */
    public void awaitCreated() throws InterruptedException {
        get(created);
    }

    /** Waits until the program is in place, or the container has ended. */
    public void awaitStarted() throws InterruptedException {
        get(started);
    }

    /** Waits for the container's end. @throws RunhvException where the VM failed, or was closed before it ended */
    public ExitStatus waitFor() throws InterruptedException {
        checkFollowed();
        return get(ended);
    }

    /** @return empty where the container goes on after this time */
    public Optional<ExitStatus> waitFor(Duration timeout) throws InterruptedException {
        checkFollowed();
        try {
            ended.get(TimeUnit.NANOSECONDS.convert(timeout), TimeUnit.NANOSECONDS); // as much as a long holds
        } catch (TimeoutException e) {
            return Optional.empty();
        } catch (ExecutionException e) {
            // As waitFor() tells it.
            return Optional.of(get(ended));
        }
        return Optional.of(get(ended));
    }

    // A VM that was never started has no end to wait for, and one that is closed says so.
    private void checkFollowed() {
        if (closing && !ended.isDone()) {
            throw closedException();
        }
    }

    private RunhvException closedException() {
        return RunhvException.of(ErrorCode.CLOSED, "follow the micro-VM " + id, "It was closed", null, null);
    }

    private static <T> T get(CompletableFuture<T> future) throws InterruptedException {
        try {
            return future.get();
        } catch (ExecutionException e) {
            if (e.getCause() instanceof RunhvException failure) {
                throw RunhvException.of(
                        failure.code(),
                        failure.operation(),
                        failure.detail(),
                        failure.osError().orElse(null),
                        failure);
            }
            throw new IllegalStateException(e.getCause());
        }
    }

    public void signal(Signal signal) {
        crossing(() -> RunhvNative.signal(handle, FIRST_PROCESS, signal.number()));
    }

    /** By the bundle's stop signal, and by KILL after the grace; returns at once. */
    public void stop(Duration grace) {
        long milliseconds = TimeUnit.MILLISECONDS.convert(grace);
        crossing(() -> RunhvNative.stop(handle, 0, Math.clamp(milliseconds, 0, Integer.MAX_VALUE)));
    }

    public void pause() {
        crossing(() -> RunhvNative.pause(handle));
    }

    public void resume() {
        crossing(() -> RunhvNative.resume(handle));
    }

    /**
     * Begins another process in the container.
     *
     * @param json the {@code process} object of the OCI runtime specification
     * @return complete when it has ended, or was not started
     */
    public CompletableFuture<ExitStatus> execute(String json, Streams streams) {
        int process =
                crossing(() -> RunhvNative.startProcess(handle, utf8(json), streams.in, streams.out, streams.err));
        return processes
                .computeIfAbsent(process, number -> new CompletableFuture<>())
                .copy();
    }

    public ContainerState state() {
        byte[] state = crossing(() -> RunhvNative.state(handle));
        return read(() -> VmState.read(ByteBuffer.wrap(state)));
    }

    /** As far as the start has come. */
    public StartTimings timings() {
        return vmStatistics().timings();
    }

    /** What the VM has counted until now, of one moment. */
    public ContainerStatistics counted() {
        return vmStatistics();
    }

    private VmStatistics vmStatistics() {
        byte[] statistics = crossing(() -> RunhvNative.statistics(handle));
        return read(() -> VmStatistics.read(ByteBuffer.wrap(statistics)));
    }

    /** How many processes the guest's kernel has killed because its memory had run out. */
    public int oomKills() {
        return oomKills;
    }

    /** What the VM counts, while it does; from {@link #create} on. */
    public LiveStatistics statistics() {
        long[] page = crossing(() -> RunhvNative.statisticsPage(handle));
        return new LiveStatistics(views.of(page[0], page[1]));
    }

    /** The VM's RAM by ascending addresses; from {@link #create} on. Beyond 3 GiB it is in two pieces. */
    public List<GuestMemory> guestMemory() {
        List<GuestMemory> memory = new ArrayList<>();
        while (true) {
            long[] piece = crossing(() -> RunhvNative.guestMemory(handle, memory.size()));
            if (piece == null) {
                return List.copyOf(memory);
            }
            memory.add(new GuestMemory(piece[0], views.of(piece[1], piece[2])));
        }
    }

    // Once it runs, its events are taken, by a thread that the wait may block.
    private void follow() {
        if (followed.compareAndSet(false, true)) {
            Thread.ofPlatform().daemon().name("runhv-events-" + id).start(this::takeEvents);
        }
    }

    private void takeEvents() {
        try {
            long events = crossing(() -> RunhvNative.eventHandle(handle));
            while (!ended.isDone() && !closing) {
                byte[] event = crossing(() -> RunhvNative.event(handle));
                if (event != null) {
                    happened(read(() -> VmEvent.read(ByteBuffer.wrap(event))));
                } else {
                    EventHandle.await(events, WAIT_MILLISECONDS);
                }
            }
            // Those that KILL of close() brings.
            for (byte[] event = ended.isDone() ? null : crossing(() -> RunhvNative.event(handle));
                    event != null && !ended.isDone();
                    event = crossing(() -> RunhvNative.event(handle))) {
                byte[] bytes = event;
                happened(read(() -> VmEvent.read(ByteBuffer.wrap(bytes))));
            }
        } catch (RunhvException e) {
            end(null, e);
        } finally {
            end(null, closedException());
            followerEnded.countDown();
        }
    }

    private void happened(VmEvent event) {
        switch (event.kind()) {
            case CREATED -> created.complete(null);
            case STARTED -> {
                running = true;
                VmStatistics statistics = vmStatistics();
                events.started(statistics.timings(), statistics);
                created.complete(null);
                started.complete(null);
            }
            case PROCESS_ENDED ->
                processes
                        .computeIfAbsent(event.process(), number -> new CompletableFuture<>())
                        .complete(event.end().status(event.error()));
            case OUT_OF_MEMORY -> oomKills = event.oomKills();
            case ENDED -> {
                oomKills = Math.max(oomKills, event.end().oomKills());
                if (event.code() == 0) {
                    end(event.end().status(event.error()), null);
                } else {
                    end(null, event.error().toException());
                }
            }
            case PROCESS_STARTED, PAUSED, RESUMED, WARNING, UNKNOWN -> {
                // Nobody asks.
            }
        }
    }

    // The first call counts.
    private void end(ExitStatus status, RunhvException failure) {
        if (ended.isDone()) {
            return;
        }
        if (running && StartEvents.areWanted()) {
            try {
                events.ended(status, counted(), oomKills);
            } catch (RunhvException e) {
                System.getLogger(InProcessVm.class.getName()).log(Level.DEBUG, "The end is not told to JFR", e);
            }
        }
        if (failure == null) {
            ended.complete(status);
        } else {
            ended.completeExceptionally(failure);
        }
        ExitStatus killed = new ExitStatus.Signaled(Signal.KILL);
        processes.values().forEach(process -> process.complete(killed));
        created.complete(null);
        started.complete(null);
    }

    /**
     * Ends the container if it runs, and gives everything back. Every view of its memory is invalid before: a thread that
     * reads one gets an {@link IllegalStateException}; an operation of the JDK that has one in its hands, such as a write
     * to a channel, is waited for. Closing again does nothing.
     */
    @Override
    public void close() {
        if (!liveness.closed.compareAndSet(false, true)) {
            return;
        }
        if (followed.get()) {
            awaitFollower();
        }
        closing = true;
        views.close();
        crossing(() -> RunhvNative.destroy(handle));
    }

    // The events' handle goes with the VM: who waits for it must have ended.
    private void awaitFollower() {
        boolean interrupted = false;
        if (!ended.isDone()) {
            try {
                signal(Signal.KILL);
            } catch (RunhvException e) {
                closing = true; // it has just ended
            }
        }
        for (boolean over = false; !over; ) {
            try {
                over = followerEnded.await(KILL_SECONDS, TimeUnit.SECONDS);
                closing = true; // a VM that does not end in this time is destroyed as it is
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private interface Crossing {
        void call();
    }

    private static void crossing(Crossing call) {
        crossing(() -> {
            call.call();
            return Boolean.TRUE;
        });
    }

    // The one place where the core's errors become the API's.
    private static <T> T crossing(Supplier<T> call) {
        try {
            return call.get();
        } catch (NativeFailure failure) {
            throw failure.toRunhvException();
        }
    }

    private interface Reading<T> {
        T read() throws MalformedException;
    }

    private static <T> T read(Reading<T> reading) {
        try {
            return reading.read();
        } catch (MalformedException e) {
            throw RunhvException.of(ErrorCode.INTERNAL, "read what the core tells", e.getMessage(), null, e);
        }
    }

    private static byte[] utf8(String text) {
        if (text.indexOf('\0') >= 0) {
            throw RunhvException.of(
                    ErrorCode.INVALID_ARGUMENT, "make a micro-VM", "A text holds a NUL character", null, null);
        }
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** Tells of a VM that nobody closed. It does not close it: when the collector runs is no time to end a container. */
    private record Liveness(String id, AtomicBoolean closed, Throwable made) implements Runnable {
        Liveness(String id, Throwable made) {
            this(id, new AtomicBoolean(), made);
        }

        @Override
        public void run() {
            if (!closed.get()) {
                System.getLogger(InProcessVm.class.getName())
                        .log(Level.WARNING, "The micro-VM " + id + " was never closed", made);
            }
        }
    }
}
