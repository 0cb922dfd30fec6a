package dev.runhv.vmm.nativebind;

import dev.runhv.api.ClosedException;
import dev.runhv.api.ErrorCode;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.GuestException;
import dev.runhv.api.HostException;
import dev.runhv.api.InternalException;
import dev.runhv.api.RunhvException;
import dev.runhv.api.Signal;
import dev.runhv.api.StartTimings;
import dev.runhv.vmm.jfr.StartEvents;
import java.lang.System.Logger.Level;
import java.lang.ref.Cleaner;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;

/**
 * A micro-VM in this JVM's own process, for benchmarks, tests and those who accept that a fault of the core ends their
 * program. One at a time. Every method may be called from any thread; after {@link #close()} each throws
 * {@link dev.runhv.api.ClosedException}: the core checks its handle, so that no order of calls can crash. The views of its
 * memory end with it: see {@link #statistics()} and {@link #guestMemory()}.
 */
public final class InProcessVm implements AutoCloseable {
    private static final Cleaner CLEANER = Cleaner.create();
    private static final int REASON_BYTES = 1024;
    private static final int NOT_STARTED = 2; // runhv_end

    private final long handle;
    private final String id;
    private final Liveness liveness;
    private final MemoryViews views = new MemoryViews();
    private final AtomicBoolean told = new AtomicBoolean(); // to JFR
    private volatile boolean started;

    private InProcessVm(long handle, String id) {
        this.handle = handle;
        this.id = id;
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

    /** What the container's three standard streams are. */
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
        InProcessVm vm = new InProcessVm(handle, id);
        CLEANER.register(vm, vm.liveness);
        return vm;
    }

    public void start() {
        crossing(() -> {
            RunhvNative.start(handle);
            return null;
        });
        started = true;
    }

    /** Waits for the container's end on a platform thread: the native wait would hold a virtual thread's carrier. */
    public ExitStatus waitFor() {
        return await(-1).orElseThrow();
    }

    /** @return empty where the container goes on after this time, of which milliseconds count */
    public Optional<ExitStatus> waitFor(Duration timeout) {
        return await(Math.clamp(timeout.toMillis(), 0, Integer.MAX_VALUE));
    }

    private Optional<ExitStatus> await(int timeoutMilliseconds) {
        byte[] reason = new byte[REASON_BYTES];
        long end;
        try {
            end = crossing(() -> RunhvNative.await(handle, timeoutMilliseconds, reason));
        } catch (GuestException | HostException e) {
            tell(); // the end of a VM that failed
            throw e;
        }
        if (end == -1) {
            return Optional.empty();
        }
        tell();
        return Optional.of(status(end, reason));
    }

    static ExitStatus status(long packed, byte[] reason) {
        int value = (int) packed;
        return switch ((int) (packed >> 32)) {
            case 0 -> new ExitStatus.Exited(value);
            case 1 -> new ExitStatus.Signaled(value);
            case NOT_STARTED -> new ExitStatus.NotStarted(value, NativeStatistics.text(reason));
            default -> throw new InternalException("read the end of a container", "Unknown end " + packed, null, null);
        };
    }

    public void signal(Signal signal) {
        crossing(() -> {
            RunhvNative.signal(handle, signal.number());
            return null;
        });
    }

    /** As far as the start has come. */
    public StartTimings timings() {
        byte[] engine = new byte[NativeStatistics.ENGINE_BYTES];
        byte[] kernel = new byte[NativeStatistics.KERNEL_BYTES];
        long[] values = crossing(() -> RunhvNative.statistics(handle, engine, kernel));
        return NativeStatistics.timings(values, engine, kernel);
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

    // Once, to JFR, of a start that has come to its end.
    private void tell() {
        if (!started || told.get() || !StartEvents.areWanted()) {
            return;
        }
        try {
            StartTimings timings = timings();
            if (told.compareAndSet(false, true)) {
                StartEvents.commit(id, true, timings);
            }
        } catch (ClosedException e) {
            // Another thread closed it, and has told.
        }
    }

    /**
     * Ends the container if it runs, and gives everything back. Every view of its memory is invalid before: a thread that
     * reads one gets an {@link IllegalStateException}; an operation of the JDK that has one in its hands, such as a write
     * to a channel, is waited for. Closing again does nothing.
     */
    @Override
    public void close() {
        if (liveness.closed.compareAndSet(false, true)) {
            tell();
            views.close();
            crossing(() -> {
                RunhvNative.destroy(handle);
                return null;
            });
        }
    }

    // The one place where the core's errors become the API's.
    private static <T> T crossing(Supplier<T> call) {
        try {
            return call.get();
        } catch (NativeFailure failure) {
            throw failure.toRunhvException();
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
