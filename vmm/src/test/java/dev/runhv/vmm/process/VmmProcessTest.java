package dev.runhv.vmm.process;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.ContainerState;
import dev.runhv.api.ErrorCode;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.HostException;
import dev.runhv.api.InternalException;
import dev.runhv.api.Output;
import dev.runhv.api.RunhvException;
import dev.runhv.api.Signal;
import dev.runhv.api.TerminalSize;
import dev.runhv.vmm.abi.StructReader;
import dev.runhv.vmm.abi.VmEvent.Kind;
import dev.runhv.vmm.process.FakeVmm.Stream;
import dev.runhv.vmm.process.FakeVmm.Vm;
import dev.runhv.vmm.process.VmmProcess.Deadlines;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Every order in which a micro-VM's process can begin, speak and end, with a process that does as it is told. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "the process that is told what to do is a shell of Linux")
class VmmProcessTest {
    private static final Duration SOON = Duration.ofMillis(200);
    private static final ExitStatus KILLED = new ExitStatus.Signaled(Signal.KILL);
    private static final byte[] NOTHING = new byte[0];
    private static final ExecStreams STREAMS = new ExecStreams(true, Output.keep(), Output.keep(), Optional.empty());

    @TempDir
    Path folder;

    private FakeVmm fake;
    private int spawned;
    private final List<Kind> events = new CopyOnWriteArrayList<>();

    @BeforeEach
    void fake() throws Exception {
        fake = new FakeVmm(folder);
    }

    private VmmProcess spawn() {
        return spawn(Deadlines.USUAL, Output.keep(), folder.resolve("work-" + ++spawned));
    }

    private VmmProcess spawn(Deadlines deadlines, Output stdout, Path work) {
        assertThat(work.toFile().mkdirs() || work.toFile().exists()).isTrue();
        Launch launch = new Launch(
                fake.distribution(),
                new ContainerRoot(work.resolve("root")),
                "web",
                folder.resolve("bundle"),
                work,
                true,
                true,
                stdout,
                Output.keep());
        return VmmProcess.spawn(launch, deadlines, pid -> {}, event -> events.add(event.kind()));
    }

    private static ExitStatus end(VmmProcess process) {
        return process.ended().join().statusOrThrow();
    }

    @Test
    void fromTheSpawnToTheEnd() throws Exception {
        VmmProcess process = spawn();
        try (Vm vm = fake.next()) {
            assertThat(vm.arguments())
                    .contains("--remove-bundle", "--created")
                    .containsSubsequence(
                            "--id", "web", "--bundle", folder.resolve("bundle").toString())
                    .containsSubsequence("--root", folder.resolve("work-1/root").toString())
                    .containsSubsequence(
                            "--end-with", Long.toString(ProcessHandle.current().pid()));
            vm.hello().event(Kind.CREATED);
            process.created().join();
            assertThat(process.running()).isFalse();
            vm.started();
            process.started().join();
            assertThat(process.running()).isTrue();
            assertThat(process.lastStatistics().orElseThrow().exits().all()).isEqualTo(9000);
            assertThat(process.ended()).isNotDone();
            // The last numbers, which nobody asked for.
            vm.send(ControlFrame.STATISTICS | ControlFrame.ANSWER, 0, FakeVmm.statistics(2000));
            vm.run("echo out; echo oops >&2").exited(3);
        }

        assertThat(end(process)).isEqualTo(new ExitStatus.Exited(3));
        assertThat(process.lastStatistics().orElseThrow().exits().all()).isEqualTo(18000);
        assertThat(process.stdout()).hasContent("out");
        assertThat(process.stderr()).hasContent("oops");
        assertThat(events).containsExactly(Kind.CREATED, Kind.STARTED, Kind.ENDED);
        assertThat(folder.resolve("work-1/launcher")).doesNotExist();
    }

    @Test
    void aProcessThatEndsWithoutAWordIsToldWithWhatItSaid() throws Exception {
        VmmProcess process = spawn();
        try (Vm vm = fake.next()) {
            vm.run("echo 'no such library' >&2; exit 127");
        }

        process.created().join();
        assertThatThrownBy(() -> end(process))
                .isInstanceOf(InternalException.class)
                .hasMessageContaining("status 127")
                .hasMessageContaining("no such library");
    }

    enum Moment {
        BEFORE_IT_CONNECTS,
        BEFORE_HELLO,
        AFTER_HELLO,
        AFTER_CREATED,
        AFTER_STARTED
    }

    private void reach(Moment moment, Vm vm) throws Exception {
        switch (moment) {
            case BEFORE_IT_CONNECTS -> {}
            case BEFORE_HELLO -> vm.connect();
            case AFTER_HELLO -> vm.hello();
            case AFTER_CREATED -> vm.hello().event(Kind.CREATED);
            case AFTER_STARTED -> vm.hello().event(Kind.CREATED).started();
        }
    }

    @ParameterizedTest
    @EnumSource
    void aProcessThatIsKilledHasEndedByThatSignal(Moment moment) throws Exception {
        VmmProcess process = spawn();
        try (Vm vm = fake.next()) {
            reach(moment, vm);
            if (moment == Moment.AFTER_STARTED) {
                process.started().join();
            }
            assertThat(vm.process().destroyForcibly()).isTrue();
            vm.gone();
        }

        assertThat(end(process)).isEqualTo(KILLED);
        assertThat(process.created()).isDone();
        assertThat(process.started()).isDone();
        assertThat(process.running()).isEqualTo(moment == Moment.AFTER_STARTED);
        assertThat(process.lastStatistics().isPresent()).isEqualTo(moment == Moment.AFTER_STARTED);
    }

    @ParameterizedTest
    @EnumSource
    void aProcessThatCrashesIsAFaultOfOurs(Moment moment) throws Exception {
        VmmProcess process = spawn();
        try (Vm vm = fake.next()) {
            reach(moment, vm);
            if (moment == Moment.AFTER_STARTED) {
                process.started().join();
            }
            vm.run("exit 70");
        }

        assertThatThrownBy(() -> end(process))
                .isInstanceOf(InternalException.class)
                .hasMessageContaining("status 70");
    }

    @ParameterizedTest
    @EnumSource
    void weKillItAtAnyMoment(Moment moment) throws Exception {
        VmmProcess process = spawn();
        try (Vm vm = fake.next()) {
            reach(moment, vm);
            if (moment.compareTo(Moment.AFTER_CREATED) >= 0) {
                process.created().join();
            }
            CompletableFuture<Void> kill = CompletableFuture.runAsync(process::kill);
            if (moment.compareTo(Moment.AFTER_CREATED) >= 0) {
                vm.killed(); // it is asked
            } else if (moment == Moment.AFTER_HELLO) {
                vm.goneWhenAsked(); // or killed
            }
            kill.join();
        }

        assertThat(end(process)).isEqualTo(KILLED);
        assertThat(process.handle().isAlive()).isFalse();
    }

    @Test
    void aProcessThatDoesNotEndWhenAskedIsKilled() throws Exception {
        VmmProcess process = spawn(new Deadlines(SOON.multipliedBy(100), SOON, SOON), Output.keep(), folder);
        try (Vm vm = fake.next()) {
            vm.hello().event(Kind.CREATED);
            process.created().join();
            process.kill();
        }

        assertThat(end(process)).isEqualTo(KILLED);
    }

    @Test
    void anEndThatWasToldStaysWhenItIsKilledMeanwhile() throws Exception {
        for (int round = 0; round < 50; round++) {
            VmmProcess process = spawn();
            try (Vm vm = fake.next()) {
                vm.hello().event(Kind.CREATED).started();
                process.started().join();
                CompletableFuture<Void> kill = CompletableFuture.runAsync(process::kill);
                vm.exited(0);
                kill.join();
            }
            assertThat(end(process)).isEqualTo(new ExitStatus.Exited(0));
        }
    }

    @Test
    void aProcessThatHasToldItsEndAndStaysIsKilled() throws Exception {
        VmmProcess process = spawn(new Deadlines(SOON.multipliedBy(100), SOON, SOON), Output.keep(), folder);
        try (Vm vm = fake.next()) {
            vm.hello().event(Kind.ENDED, 0, 0, FakeVmm.end(0, 5), FakeVmm.error(0, "", ""));
            assertThat(end(process)).isEqualTo(new ExitStatus.Exited(5));
        }
    }

    @Test
    void aProcessThatClosesItsChannelAndStaysIsAFault() throws Exception {
        VmmProcess process = spawn(new Deadlines(SOON.multipliedBy(100), SOON, SOON), Output.keep(), folder);
        try (Vm vm = fake.next()) {
            vm.hello().event(Kind.CREATED).disconnect();
            assertThatThrownBy(() -> end(process))
                    .isInstanceOf(InternalException.class)
                    .hasMessageContaining("closed its control channel");
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void silenceIsNotWaitedForForEver(boolean connects) throws Exception {
        VmmProcess process = spawn(new Deadlines(SOON, SOON, SOON), Output.keep(), folder);
        try (Vm vm = fake.next()) {
            if (connects) {
                vm.connect();
            }
            assertThatThrownBy(() -> end(process))
                    .isInstanceOf(HostException.class)
                    .hasMessageContaining("has said nothing");
        }
        assertThat(process.handle().isAlive()).isFalse();
    }

    @Test
    void anAnswerThatDoesNotComeIsNotWaitedForForEver() throws Exception {
        VmmProcess process = spawn(new Deadlines(SOON.multipliedBy(100), SOON, SOON), Output.keep(), folder);
        try (Vm vm = fake.next()) {
            vm.hello();
            assertThatThrownBy(process.requests()::state)
                    .isInstanceOf(HostException.class)
                    .hasMessageContaining("has not answered");
        }
        process.kill();
    }

    @Test
    void anotherVersionIsNamed() throws Exception {
        VmmProcess process = spawn();
        try (Vm vm = fake.next()) {
            byte[] hello = ControlFrame.hello(0);
            hello[4] = 7;
            vm.connect().send(ControlFrame.HELLO | ControlFrame.ANSWER, 0, hello);
            assertThatThrownBy(() -> end(process))
                    .isInstanceOf(InternalException.class)
                    .hasMessageContaining("version 7, not 1");
        }
    }

    static List<byte[]> garbage() {
        return List.of(
                new byte[16], // a frame of type 0
                new byte[] {-1, -1, -1, -1, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, // 4 GiB
                new byte[] {1, 0x40, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, // 16385 bytes
                new byte[] {3, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3}, // an event without a size
                new byte[] {4, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 99, 0, 0, 0}, // larger than it is
                new byte[] {0, 0, 0, 0, 2, (byte) 0x80, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0}, // to what was not asked
                "HTTP/1.1 400 Bad Request\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
    }

    @ParameterizedTest
    @org.junit.jupiter.params.provider.MethodSource
    void garbage(byte[] bytes) throws Exception {
        VmmProcess process = spawn();
        try (Vm vm = fake.next()) {
            vm.hello().sendRaw(bytes);
            assertThatThrownBy(() -> end(process))
                    .isInstanceOf(InternalException.class)
                    .hasMessageContaining("follow the micro-VM of container web");
        }
        assertThat(process.handle().isAlive()).isFalse();
    }

    @Test
    void garbageInPlaceOfHello() throws Exception {
        VmmProcess process = spawn();
        try (Vm vm = fake.next()) {
            vm.connect().event(Kind.CREATED);
            assertThatThrownBy(() -> end(process))
                    .isInstanceOf(InternalException.class)
                    .hasMessageContaining("did not say HELLO");
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13})
    void aMicroVmThatFailsIsAnExceptionOfItsCode(int code) throws Exception {
        VmmProcess process = spawn();
        try (Vm vm = fake.next()) {
            vm.hello().failed(code, "make the VM", "It is not to be");
        }

        RunhvException expected = RunhvException.of(
                dev.runhv.vmm.abi.VmError.errorCode(code), "make the VM", "It is not to be", null, null);
        process.created().join();
        assertThatThrownBy(() -> end(process)).isInstanceOfSatisfying(expected.getClass(), e -> {
            assertThat(e.code()).isEqualTo(expected.code());
            assertThat(e.osError()).isPresent();
            assertThat(e).hasMessageStartingWith("Cannot make the VM: It is not to be (errno 28)");
        });
    }

    @Test
    void aProgramThatIsNotThereIsNotStarted() throws Exception {
        VmmProcess process = spawn();
        try (Vm vm = fake.next()) {
            vm.hello()
                    .event(Kind.ENDED, 0, 0, FakeVmm.end(2, 127), FakeVmm.error(2, "run /x", "no such file"))
                    .run("exit 127");
        }

        assertThat(end(process)).isEqualTo(new ExitStatus.NotStarted(127, "run /x: no such file"));
    }

    @Test
    void requestsAreAnsweredOrRefused() throws Exception {
        VmmProcess process = spawn();
        try (Vm vm = fake.next()) {
            vm.hello();
            FutureTask<ContainerState> state = async(process.requests()::state);
            vm.answer(ControlFrame.STATE, FakeVmm.state(2));
            assertThat(state.get().status()).isEqualTo(ContainerState.Status.RUNNING);

            FutureTask<Void> pause = async(() -> {
                process.requests().pause();
                return null;
            });
            vm.refuse(ControlFrame.PAUSE, 3, "pause", "It is paused");
            assertThatThrownBy(pause::get).rootCause().isInstanceOfSatisfying(RunhvException.class, e -> {
                assertThat(e.code()).isEqualTo(ErrorCode.CONFLICT);
            });

            FutureTask<Void> stop = async(() -> {
                process.requests().stop(Duration.ofDays(400 * 365));
                return null;
            });
            StructReader request = StructReader.take(vm.answer(ControlFrame.STOP, NOTHING));
            assertThat(request.int32()).as("the bundle's signal").isZero();
            assertThat(request.int32()).isEqualTo(-2);
            stop.get();

            FutureTask<Void> signal = async(() -> {
                process.requests().signal(0, Signal.of("RTMIN+1"));
                return null;
            });
            StructReader signalled = StructReader.take(vm.answer(ControlFrame.SIGNAL, NOTHING));
            assertThat(signalled.int32()).isZero();
            assertThat(signalled.int32()).isEqualTo(35);
            signal.get();
            vm.exited(0);
        }
        end(process);
        assertThatThrownBy(process.requests()::state)
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CLOSED));
    }

    @Test
    void anInterruptedThreadDoesNotBreakTheChannelOfTheOthers() throws Exception {
        VmmProcess process = spawn();
        try (Vm vm = fake.next()) {
            vm.hello();
            FutureTask<Boolean> interrupted = async(() -> {
                Thread.currentThread().interrupt();
                process.requests().state();
                return Thread.interrupted();
            });
            vm.answer(ControlFrame.STATE, FakeVmm.state(2));
            assertThat(interrupted.get()).as("the interruption is kept").isTrue();

            FutureTask<ContainerState> state = async(process.requests()::state);
            vm.answer(ControlFrame.STATE, FakeVmm.state(2));
            state.get();
            vm.exited(0);
        }
        assertThat(end(process)).isEqualTo(new ExitStatus.Exited(0));
    }

    @Test
    void anotherProcessHasItsStreamsAndItsEnd() throws Exception {
        VmmProcess process = spawn();
        try (Vm vm = fake.next()) {
            vm.hello().listen().started();
            FutureTask<ExecutedProcess> exec =
                    async(() -> process.execute("{\"args\":[]}".getBytes(StandardCharsets.UTF_8), STREAMS));
            List<Stream> streams = vm.streams(3);
            ControlFrame request = vm.take(ControlFrame.PROCESS_START);
            assertThat(startOf(request.payload(), streams)).isEqualTo("{\"args\":[]}");
            // Its first event may come right behind the answer.
            vm.send(ControlFrame.PROCESS_START | ControlFrame.ANSWER, request.request(), number(7))
                    .event(Kind.PROCESS_STARTED, 7, 0, FakeVmm.end(0, 0), FakeVmm.error(0, "", ""));
            ExecutedProcess executed = exec.get();
            assertThat(executed.ended()).isNotDone();

            executed.stdin().write("ping".getBytes(StandardCharsets.UTF_8));
            executed.stdin().close();
            assertThat(streams.get(0).readAll()).isEqualTo("ping");
            streams.get(1).write("pong");
            streams.get(2).write("oops");
            streams.get(1).socket().close();
            streams.get(2).socket().close();
            vm.event(Kind.PROCESS_ENDED, 7, 0, FakeVmm.end(0, 4), FakeVmm.error(0, "", ""));

            assertThat(executed.ended().join()).isEqualTo(new ExitStatus.Exited(4));
            assertThat(executed.stdout()).hasContent("pong");
            assertThat(executed.stderr()).hasContent("oops");
            vm.exited(0);
        }
        end(process);
    }

    private static byte[] number(int process) {
        return new dev.runhv.vmm.abi.StructWriter(8).int32(process).bytes();
    }

    private static String startOf(ByteBuffer payload, List<Stream> streams) throws Exception {
        StructReader start = StructReader.take(payload);
        assertThat(start.int32()).as("flags").isZero();
        assertThat(start.int32()).as("columns and rows").isZero();
        assertThat(start.int32()).isEqualTo(payload.remaining());
        for (int stream = 0; stream < 3; stream++) {
            assertThat(start.int32()).isEqualTo(2);
        }
        start.int32();
        for (Stream stream : streams) {
            assertThat(start.int64()).isEqualTo(stream.token());
        }
        byte[] json = new byte[payload.remaining()];
        payload.get(json);
        return new String(json, StandardCharsets.UTF_8);
    }

    @Test
    void aTerminalIsOneConnectionForBothDirections() throws Exception {
        VmmProcess process = spawn();
        try (Vm vm = fake.next()) {
            vm.hello().listen().started();
            ExecStreams streams =
                    new ExecStreams(true, Output.keep(), Output.keep(), Optional.of(new TerminalSize(80, 24)));
            FutureTask<ExecutedProcess> exec =
                    async(() -> process.execute("{}".getBytes(StandardCharsets.UTF_8), streams));
            Stream terminal = vm.stream();
            ControlFrame request = vm.take(ControlFrame.PROCESS_START);
            StructReader start = StructReader.take(request.payload());
            assertThat(start.int32()).as("flags").isEqualTo(1);
            assertThat(start.int32()).as("columns and rows").isEqualTo(24 << 16 | 80);
            vm.send(ControlFrame.PROCESS_START | ControlFrame.ANSWER, request.request(), number(1))
                    .event(Kind.PROCESS_STARTED, 1, 0, FakeVmm.end(0, 0), FakeVmm.error(0, "", ""));
            ExecutedProcess executed = exec.get();

            FutureTask<Void> resize = async(() -> {
                executed.resize(new TerminalSize(100, 50));
                return null;
            });
            StructReader resized = StructReader.take(vm.answer(ControlFrame.RESIZE, NOTHING));
            assertThat(resized.int32()).isEqualTo(1);
            assertThat(resized.int32()).isEqualTo(50 << 16 | 100);
            resize.get();
            terminal.write("prompt$ ");
            terminal.socket().close();
            vm.event(Kind.PROCESS_ENDED, 1, 0, FakeVmm.end(1, 1), FakeVmm.error(0, "", ""));
            assertThat(executed.ended().join()).isEqualTo(new ExitStatus.Signaled(Signal.HUP));
            assertThat(executed.stdout()).hasContent("prompt$ ");
            assertThat(executed.stderr()).isEmpty();
            vm.exited(0);
        }
        end(process);
    }

    @Test
    void aProcessThatCannotBeStartedSaysWhy() throws Exception {
        VmmProcess process = spawn();
        try (Vm vm = fake.next()) {
            vm.hello().listen().started();
            FutureTask<ExecutedProcess> exec =
                    async(() -> process.execute("{}".getBytes(StandardCharsets.UTF_8), STREAMS));
            List<Stream> streams = vm.streams(3);
            ControlFrame request = vm.take(ControlFrame.PROCESS_START);
            vm.send(ControlFrame.PROCESS_START | ControlFrame.ANSWER, request.request(), number(1))
                    .event(Kind.PROCESS_ENDED, 1, 0, FakeVmm.end(2, 127), FakeVmm.error(2, "run /no", "no such file"));
            for (Stream stream : streams) {
                stream.socket().close();
            }
            assertThat(exec.get().ended().join()).isEqualTo(new ExitStatus.NotStarted(127, "run /no: no such file"));

            FutureTask<ExecutedProcess> refused =
                    async(() -> process.execute("{}".getBytes(StandardCharsets.UTF_8), STREAMS));
            List<Stream> closed = vm.streams(3);
            vm.refuse(ControlFrame.PROCESS_START, 3, "run another process", "There are 128");
            assertThatThrownBy(refused::get).rootCause().hasMessageContaining("There are 128");
            for (Stream stream : closed) {
                assertThat(stream.readAll()).as("nothing is left open").isEmpty();
            }
            vm.exited(0);
        }
        end(process);
    }

    @Test
    void processesEndWithTheContainer() throws Exception {
        VmmProcess process = spawn();
        ExecutedProcess executed;
        try (Vm vm = fake.next()) {
            vm.hello().listen().started();
            ExecStreams streams = new ExecStreams(false, Output.discard(), Output.discard(), Optional.empty());
            FutureTask<ExecutedProcess> exec =
                    async(() -> process.execute("{}".getBytes(StandardCharsets.UTF_8), streams));
            ControlFrame request = vm.take(ControlFrame.PROCESS_START);
            vm.send(ControlFrame.PROCESS_START | ControlFrame.ANSWER, request.request(), number(1))
                    .event(Kind.PROCESS_STARTED, 1, 0, FakeVmm.end(0, 0), FakeVmm.error(0, "", ""));
            executed = exec.get();
            assertThatThrownBy(() -> executed.stdin().write(1)).hasMessageContaining("not connected");
            vm.exited(0);
        }
        end(process);

        assertThat(executed.ended().join()).isEqualTo(KILLED);
        assertThatThrownBy(() -> process.execute("{}".getBytes(StandardCharsets.UTF_8), STREAMS))
                .isInstanceOf(RunhvException.class);
    }

    @Test
    void aProcessThatNobodyWaitsForAnyMoreIsKilled() throws Exception {
        VmmProcess process = spawn();
        try (Vm vm = fake.next()) {
            vm.hello().listen().started();
            ExecStreams streams = new ExecStreams(false, Output.discard(), Output.discard(), Optional.empty());
            CompletableFuture<Throwable> thrown = new CompletableFuture<>();
            Thread waiting = Thread.ofVirtual().start(() -> {
                try {
                    process.execute("{}".getBytes(StandardCharsets.UTF_8), streams);
                } catch (Throwable e) {
                    thrown.complete(e);
                }
            });
            ControlFrame request = vm.take(ControlFrame.PROCESS_START);
            waiting.interrupt();
            assertThat(thrown.join()).isInstanceOf(InterruptedException.class);
            vm.send(ControlFrame.PROCESS_START | ControlFrame.ANSWER, request.request(), number(9));
            StructReader signal = StructReader.take(vm.answer(ControlFrame.SIGNAL, NOTHING));
            assertThat(signal.int32()).isEqualTo(9);
            assertThat(signal.int32()).isEqualTo(9);
            vm.exited(0);
        }
        end(process);
    }

    @Test
    void pathsThatAreTooLongForASocketAreReachedAllTheSame() throws Exception {
        Path deep = Files.createDirectories(folder.resolve("d".repeat(100)));
        VmmProcess process = spawn(Deadlines.USUAL, Output.keep(), deep);
        try (Vm vm = fake.next()) {
            vm.hello().listen().started();
            FutureTask<ExecutedProcess> exec =
                    async(() -> process.execute("{}".getBytes(StandardCharsets.UTF_8), STREAMS));
            vm.streams(3);
            vm.refuse(ControlFrame.PROCESS_START, 3, "a", "b");
            assertThatThrownBy(exec::get).rootCause().isInstanceOf(RunhvException.class);
            vm.exited(0);
        }
        end(process);
        assertThat(deep.resolve("launcher")).doesNotExist();
    }

    @Test
    void outputGoesWhereItShall() throws Exception {
        List<String> lines = new CopyOnWriteArrayList<>();
        VmmProcess process = spawn(Deadlines.USUAL, Output.lines(lines::add), folder);
        try (Vm vm = fake.next()) {
            vm.hello().run("printf 'one\\ntwo\\r\\nthree'").exited(0);
        }
        end(process);
        assertThat(lines).containsExactly("one", "two", "three");
        assertThat(process.stdout()).isEmpty();

        Path file = folder.resolve("out");
        Files.writeString(file, "before\n");
        VmmProcess appending = spawn(Deadlines.USUAL, Output.append(file), folder.resolve("second"));
        try (Vm vm = fake.next()) {
            vm.hello().run("echo after").exited(0);
        }
        end(appending);
        assertThat(file).hasContent("before\nafter");
    }

    private interface Task<T> {
        T run() throws Exception;
    }

    private static <T> FutureTask<T> async(Task<T> task) {
        FutureTask<T> future = new FutureTask<>(task::run);
        Thread.ofVirtual().start(future);
        return future;
    }
}
