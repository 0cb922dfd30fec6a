package dev.runhv.vmm.process;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.HostException;
import dev.runhv.api.Output;
import dev.runhv.api.RunhvException;
import dev.runhv.api.Signal;
import dev.runhv.vmm.abi.StructReader;
import dev.runhv.vmm.abi.VmEvent;
import dev.runhv.vmm.abi.VmStatistics;
import java.io.File;
import java.io.FileDescriptor;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.ProcessBuilder.Redirect;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import java.util.function.LongConsumer;

/**
 * A micro-VM in a process of its own, from its spawn to its end: what it tells by its control channel and how its process
 * ends, as one story. Every method may be called from any thread.
 *
 * <pre>
 *   spawn ── created ── started ── ended      each a future, each complete once the later ones are;
 *      └────────┴──────────┴───────┘          `ended` when the process is gone and its output is delivered
 * </pre>
 */
public final class VmmProcess {
    /**
     * How long is waited for a process that should act at once.
     *
     * @param hello between the spawn and the answer to HELLO; from then on the process keeps its own limits
     * @param answer to a request
     * @param end for a process that has told its end, or was asked to end at once, to be gone
     */
    record Deadlines(Duration hello, Duration answer, Duration end) {
        static final Deadlines USUAL =
                new Deadlines(Duration.ofSeconds(60), Duration.ofSeconds(60), Duration.ofSeconds(5));
    }

    private static final int COMPLAINT_BYTES = 2048;
    private static final int KILLED = 128 + 9;
    private static final int DRAIN_STACK_BYTES = 1 << 17;

    private final Launch launch;
    private final Deadlines deadlines;
    private final Process process;
    private final OutputStream stdin;
    private final OutputDrain stdout;
    private final OutputDrain stderr;
    private final Consumer<VmEvent> listener;
    private final CompletableFuture<ControlChannel> channel = new CompletableFuture<>();
    private final VmmRequests requests;
    private final CompletableFuture<RunhvException> channelClosed = new CompletableFuture<>();
    private final CompletableFuture<Void> created = new CompletableFuture<>();
    private final CompletableFuture<Void> started = new CompletableFuture<>();
    private final CompletableFuture<Outcome> ended = new CompletableFuture<>();
    private final Map<Integer, ExecutedProcess> executed = new ConcurrentHashMap<>();
    private final CompletableFuture<Outcome> told = new CompletableFuture<>(); // by ENDED
    private volatile VmStatistics statistics; // the last known
    private volatile boolean running; // STARTED has come
    private volatile int oomKills;
    private volatile boolean killed; // by us, as was asked
    private volatile boolean lost; // killed because it would tell nothing any more

    private VmmProcess(Launch launch, Deadlines deadlines, Process process, Consumer<VmEvent> listener)
            throws IOException {
        this.launch = launch;
        this.deadlines = deadlines;
        this.process = process;
        this.listener = listener;
        requests = new VmmRequests(launch.id(), channel, deadlines.answer());
        stdin = launch.stdin() ? process.getOutputStream() : new NoInput();
        stdout = drain(launch.stdout(), process.getInputStream(), FileDescriptor.out, "out");
        stderr = drain(launch.stderr(), process.getErrorStream(), FileDescriptor.err, "err");
    }

    /**
     * Begins the process and follows it.
     *
     * @param spawned is given its pid, before the listener is called
     * @param listener is called by the thread that reads the channel, also before this returns: it must not wait for an
     *     answer
     * @throws HostException where the process cannot be made
     */
    public static VmmProcess spawn(Launch launch, LongConsumer spawned, Consumer<VmEvent> listener) {
        return spawn(launch, Deadlines.USUAL, spawned, listener);
    }

    static VmmProcess spawn(Launch launch, Deadlines deadlines, LongConsumer spawned, Consumer<VmEvent> listener) {
        Rendezvous rendezvous = null;
        Process process = null;
        try {
            rendezvous = Rendezvous.in(launch.folder());
            process = new ProcessBuilder(command(launch, rendezvous))
                    .redirectInput(launch.stdin() ? Redirect.PIPE : Redirect.from(nullDevice()))
                    .redirectOutput(redirect(launch.stdout()))
                    .redirectError(redirect(launch.stderr()))
                    .start();
            VmmProcess vmm = new VmmProcess(launch, deadlines, process, listener);
            spawned.accept(process.pid());
            Rendezvous awaited = rendezvous;
            Thread.ofVirtual().name("runhv-connect-" + launch.id()).start(() -> vmm.connect(awaited));
            var _ = vmm.channel
                    .thenCompose(ControlChannel::hello)
                    .orTimeout(deadlines.hello().toMillis(), TimeUnit.MILLISECONDS)
                    .exceptionally(failure -> vmm.silent(failure, deadlines.hello()));
            Thread.ofVirtual().name("runhv-end-" + launch.id()).start(vmm::follow);
            return vmm;
        } catch (IOException e) {
            if (process != null) {
                process.destroyForcibly();
            }
            closeQuietly(rendezvous);
            throw RunhvException.of(
                    ErrorCode.HOST_FAILED,
                    "start the micro-VM of container " + launch.id(),
                    String.valueOf(e.getMessage()),
                    null,
                    e);
        }
    }

    private static List<String> command(Launch launch, Rendezvous rendezvous) {
        List<String> command = new ArrayList<>(List.of(
                launch.distribution().vmm().toString(),
                "--id",
                launch.id(),
                "--bundle",
                launch.bundle().toString(),
                "--remove-bundle",
                "--root",
                launch.root().path().toString(),
                // A JVM that is killed cannot close its containers.
                "--end-with",
                Long.toString(ProcessHandle.current().pid())));
        command.addAll(rendezvous.options());
        if (launch.stops()) {
            command.add("--created");
        }
        if (System.getProperty("os.name").equals("Linux")) {
            // There nanoTime is the monotonic clock of the system, as the core's. Else the process asks the system
            // when it was started, which tells it less exactly.
            command.addAll(List.of("--spawned-at-ns", Long.toString(System.nanoTime())));
        }
        return command;
    }

    private static Redirect redirect(Output wish) {
        return switch (wish) {
            case Output.Inherit inherit -> Redirect.INHERIT;
            case Output.Discard discard -> Redirect.DISCARD;
            case Output.ToFile file ->
                file.append()
                        ? Redirect.appendTo(file.file().toFile())
                        : Redirect.to(file.file().toFile());
            case Output.Keep keep -> Redirect.PIPE;
            case Output.Pipe pipe -> Redirect.PIPE;
            case Output.To to -> Redirect.PIPE;
            case Output.Lines lines -> Redirect.PIPE;
        };
    }

    private static File nullDevice() {
        return new File(Distribution.WINDOWS ? "NUL" : "/dev/null");
    }

    private OutputDrain drain(Output wish, InputStream source, FileDescriptor inherited, String name)
            throws IOException {
        if (!redirect(wish).equals(Redirect.PIPE)) {
            return OutputDrain.none();
        }
        // A read of a pipe would hold the carrier of a virtual thread.
        return new OutputDrain(
                wish,
                source,
                inherited,
                Thread.ofPlatform().daemon().stackSize(DRAIN_STACK_BYTES).name("runhv-" + name + "-" + launch.id()));
    }

    private void connect(Rendezvous rendezvous) {
        var _ = process.onExit().thenRun(rendezvous::wake);
        try {
            channel.complete(new ControlChannel(launch.id(), rendezvous.await(), new Events()));
        } catch (IOException e) {
            channel.completeExceptionally(e);
            channelClosed.complete(null);
        } finally {
            closeQuietly(rendezvous);
        }
    }

    private static void closeQuietly(Rendezvous rendezvous) {
        if (rendezvous != null) {
            try {
                rendezvous.close();
            } catch (IOException e) {
                return; // its folder is removed at the end
            }
        }
    }

    private <T> T silent(Throwable failure, Duration deadline) {
        if (failure instanceof TimeoutException) {
            channelClosed.complete(RunhvException.of(
                    ErrorCode.HOST_FAILED,
                    "start the micro-VM of container " + launch.id(),
                    "Its process has said nothing for " + deadline.toSeconds() + " s",
                    null,
                    null));
            process.destroyForcibly();
        }
        return null;
    }

    /** What the channel tells, in its order. */
    private final class Events implements ControlChannel.Listener {
        @Override
        public void event(VmEvent event) {
            switch (event.kind()) {
                case CREATED -> created.complete(null);
                case STARTED -> begun();
                case PROCESS_STARTED -> process(event).ifPresent(ExecutedProcess::begun);
                case PROCESS_ENDED -> process(event).ifPresent(ended -> ended.end(event));
                case OUT_OF_MEMORY -> oomKills = event.oomKills();
                case ENDED -> oomKills = Math.max(oomKills, event.end().oomKills());
                case PAUSED, RESUMED, WARNING, UNKNOWN -> {
                    // For the listener only.
                }
            }
            listener.accept(event);
            if (event.kind() == VmEvent.Kind.ENDED) {
                // Last: who waits for the end finds that its listener was told.
                told.complete(
                        event.code() == 0
                                ? Outcome.of(event.end().status(event.error()))
                                : Outcome.of(event.error().toException()));
                endWithin(deadlines.end());
            }
        }

        // Who waits for the start finds its timings.
        private void begun() {
            running = true;
            var _ = channel.thenCompose(control ->
                            control.request(ControlFrame.STATISTICS, VmmRequests.NOTHING, VmmProcess::statistics))
                    .whenComplete((numbers, failure) -> {
                        if (numbers != null && statistics == null) {
                            statistics = numbers;
                        }
                        created.complete(null);
                        started.complete(null);
                    });
        }

        private Optional<ExecutedProcess> process(VmEvent event) {
            return Optional.ofNullable(
                    event.kind() == VmEvent.Kind.PROCESS_ENDED
                            ? executed.remove(event.process())
                            : executed.get(event.process()));
        }

        @Override
        public void statistics(VmStatistics numbers) {
            statistics = numbers;
        }

        @Override
        public void closed(RunhvException why) {
            channelClosed.complete(why);
            if (why != null) {
                process.destroyForcibly();
            } else {
                after(deadlines.end(), VmmProcess.this::endLost);
            }
        }
    }

    // It has closed its channel and goes on: nobody would learn how it ends.
    private void endLost() {
        if (process.isAlive() && !told.isDone()) {
            lost = true;
            process.destroyForcibly();
        }
    }

    // Has nothing to do where the process ends by itself.
    private void endWithin(Duration deadline) {
        after(deadline, process::destroyForcibly);
    }

    private static void after(Duration delay, Runnable task) {
        CompletableFuture.delayedExecutor(
                        delay.toMillis(),
                        TimeUnit.MILLISECONDS,
                        ready -> Thread.ofVirtual().start(ready))
                .execute(task);
    }

    // Until the process is gone and everything that it had to tell was heard.
    private void follow() {
        int code = uninterruptibly(process.onExit()).exitValue();
        // ENDED is the last word; without it the channel is at its end with the process, unless somebody else holds it.
        after(deadlines.end(), this::closeChannel);
        uninterruptibly(CompletableFuture.anyOf(told, channelClosed));
        RunhvException why = told.isDone() ? null : channelClosed.join();
        closeChannel();
        uninterruptibly(CompletableFuture.allOf(stdout.done(), stderr.done()));
        Outcome outcome = outcome(code, why);
        executed.values().forEach(ExecutedProcess::killed);
        started.complete(null);
        created.complete(null);
        ended.complete(outcome);
    }

    private void closeChannel() {
        if (channel.isDone() && !channel.isCompletedExceptionally()) {
            channel.join().close();
        }
    }

    // join() does not end where the thread is interrupted.
    private static <T> T uninterruptibly(CompletableFuture<T> future) {
        return future.join();
    }

    private Outcome outcome(int code, RunhvException why) {
        if (told.isDone()) {
            return told.join();
        }
        if (why != null) {
            return Outcome.of(why);
        }
        // Windows ends a process that is killed with what it was killed with: we know that it was us.
        if (!lost && (killed || code == KILLED)) {
            return Outcome.of(new ExitStatus.Signaled(Signal.KILL));
        }
        String complaint = stderr.tail(COMPLAINT_BYTES).strip();
        return Outcome.of(RunhvException.of(
                ErrorCode.INTERNAL,
                "run the micro-VM of container " + launch.id(),
                (lost
                                ? "Its process closed its control channel before its end"
                                : "Its process ended with status " + code + " and did not say why")
                        + (complaint.isEmpty() ? "" : ": " + complaint),
                null,
                null));
    }

    public ProcessHandle handle() {
        // Not the Process itself: its destroy() also closes the streams, and with them unread output.
        return process.toHandle();
    }

    /** What it can be asked. */
    public VmmRequests requests() {
        return requests;
    }

    public OutputStream stdin() {
        return stdin;
    }

    public InputStream stdout() {
        return stdout.stream();
    }

    public InputStream stderr() {
        return stderr.stream();
    }

    /** Is complete when the container is prepared, and when it has started or ended. Never fails. */
    public CompletableFuture<Void> created() {
        return created;
    }

    /** Is complete when the program is in place, and when the container has ended. Never fails. */
    public CompletableFuture<Void> started() {
        return started;
    }

    /** Is complete when the process is gone and its output is delivered. Never fails. */
    public CompletableFuture<Outcome> ended() {
        return ended;
    }

    /** Whether the program is, or was, in place. */
    public boolean running() {
        return running;
    }

    public int oomKills() {
        return oomKills;
    }

    /** The last known numbers; empty before the program was in place. */
    public Optional<VmStatistics> lastStatistics() {
        return Optional.ofNullable(statistics);
    }

    /** @throws RunhvException CLOSED where it has ended */
    public VmStatistics statistics() {
        VmStatistics numbers = requests.ask(ControlFrame.STATISTICS, VmmRequests.NOTHING, VmmProcess::statistics);
        if (!told.isDone()) {
            statistics = numbers;
        }
        return numbers;
    }

    /**
     * Begins another process and waits until it is in place, or was not started.
     *
     * @param json the {@code process} object of the OCI runtime specification
     * @throws RunhvException CONFLICT where the container does not run, CLOSED where it has ended
     * @throws InterruptedException where the thread is interrupted: then the process is killed
     */
    public ExecutedProcess execute(byte[] json, ExecStreams wishes) throws InterruptedException {
        if (json.length > ControlFrame.MAX_PAYLOAD - 4096) {
            throw RunhvException.of(
                    ErrorCode.INVALID_ARGUMENT,
                    "run another process in container " + launch.id(),
                    "Its arguments and its environment have " + json.length + " bytes: more than 1 MiB",
                    null,
                    null);
        }
        if (ended.isDone()) {
            throw requests.gone();
        }
        ExecutedProcess begun = connect(wishes);
        try {
            requests.await(requests.send(ControlFrame.PROCESS_START, begun.startRequest(json), answer -> {
                int number = VmmRequests.checked(() -> StructReader.take(answer).int32());
                if (!begun.numbered(number)) {
                    requests.killLater(number);
                }
                // By the thread that reads the events, so that none of this process comes before.
                executed.put(number, begun);
                return number;
            }));
            begun.inPlace().get();
            return begun;
        } catch (InterruptedException e) {
            begun.abandon();
            throw e;
        } catch (ExecutionException e) {
            throw new IllegalStateException(e); // inPlace never fails
        } catch (RunhvException e) {
            // It was refused, or nobody knows: then it is not wanted any more.
            begun.abandon();
            throw e;
        }
    }

    // By a thread of its own, which may be left alone with a connection that nobody answers.
    private ExecutedProcess connect(ExecStreams wishes) throws InterruptedException {
        CompletableFuture<ExecutedProcess> connecting = CompletableFuture.supplyAsync(
                () -> ExecutedProcess.connect(this, launch.id(), launch.root().control(launch.id()), wishes),
                task -> Thread.ofVirtual().start(task));
        boolean connected = false;
        try {
            ExecutedProcess process = requests.await(
                    connecting.copy().orTimeout(deadlines.answer().toMillis(), TimeUnit.MILLISECONDS));
            connected = true;
            return process;
        } finally {
            if (!connected) {
                var _ = connecting.thenAccept(ExecutedProcess::close);
            }
        }
    }

    /**
     * Ends the container at once if it runs, and waits until everything is over. What came to its end by itself before that
     * stays so.
     */
    public void kill() {
        if (!ended.isDone()) {
            killed = true;
            // It ends more tidily where it is asked than where it is killed.
            ControlChannel control = channel.isDone() && !channel.isCompletedExceptionally() ? channel.join() : null;
            if (control != null && control.hello().isDone() && process.isAlive()) {
                var asked = control.request(
                        ControlFrame.SIGNAL, VmmRequests.signalOf(0, Signal.KILL), bytes -> Boolean.TRUE);
                var _ = asked.whenComplete(
                        (done, failure) -> endWithin(failure == null ? deadlines.end() : Duration.ZERO));
                endWithin(deadlines.end());
            } else {
                process.destroyForcibly();
            }
        }
        stdout.release();
        stderr.release();
        after(deadlines.end(), () -> {
            stdout.abandon();
            stderr.abandon();
        });
        uninterruptibly(ended);
    }

    private static VmStatistics statistics(ByteBuffer bytes) {
        return VmmRequests.checked(() -> VmStatistics.read(bytes));
    }
}
