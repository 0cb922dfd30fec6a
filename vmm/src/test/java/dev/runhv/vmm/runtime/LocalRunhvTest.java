package dev.runhv.vmm.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.ClosedException;
import dev.runhv.api.Container;
import dev.runhv.api.ContainerEvent;
import dev.runhv.api.ContainerSpec;
import dev.runhv.api.ContainerState;
import dev.runhv.api.Engine;
import dev.runhv.api.ErrorCode;
import dev.runhv.api.ExecSpec;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.GuestException;
import dev.runhv.api.HypervisorException;
import dev.runhv.api.RequestException;
import dev.runhv.api.RunhvException;
import dev.runhv.api.Signal;
import dev.runhv.api.StartStage;
import dev.runhv.api.StartTimings;
import dev.runhv.vmm.abi.VmEvent.Kind;
import dev.runhv.vmm.process.ContainerRoot;
import dev.runhv.vmm.process.FakeVmm;
import dev.runhv.vmm.process.FakeVmm.Vm;
import dev.runhv.vmm.store.LocalImageService;
import dev.runhv.vmm.testing.ImageBuilder;
import dev.runhv.vmm.testing.TarBuilder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.stream.Stream;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** What the API promises, with a micro-VM's process that does as it is told. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "the process that is told what to do is a shell of Linux")
class LocalRunhvTest {
    private static final ExitStatus KILLED = new ExitStatus.Signaled(Signal.KILL);

    @TempDir
    Path folder;

    private FakeVmm fake;
    private LocalRunhv runhv;
    private ContainerSpec spec;

    @BeforeEach
    void open() throws Exception {
        fake = new FakeVmm(folder);
        byte[] layer = new TarBuilder()
                .directory("etc/")
                .file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/var/www:\n")
                .bytes();
        new ImageBuilder().layer(layer).writeTo(folder.resolve("oci"), "latest");
        runhv = new LocalRunhv(
                fake.distribution(),
                folder.resolve("store"),
                new ContainerRoot(folder.resolve("root")),
                Engine.AUTO,
                new LocalImageService(folder.resolve("store")));
        spec = ContainerSpec.image("oci:" + folder.resolve("oci"))
                .name("web")
                .command("serve")
                .stdin()
                .build();
    }

    @AfterEach
    void close() {
        runhv.close();
    }

    private interface Task<T> {
        T run() throws Exception;
    }

    private static <T> FutureTask<T> async(Task<T> task) {
        FutureTask<T> future = new FutureTask<>(task::run);
        Thread.ofVirtual().start(future);
        return future;
    }

    private FutureTask<Container> starting() {
        return async(() -> runhv.start(spec));
    }

    private Container started(Vm vm, FutureTask<Container> start) throws Exception {
        vm.hello().started();
        return start.get();
    }

    @Test
    void aContainerFromItsStartToItsEnd() throws Exception {
        List<ContainerEvent> events = new CopyOnWriteArrayList<>();
        CountDownLatch last = new CountDownLatch(1);
        FutureTask<Container> start = async(() -> runhv.start(spec, event -> {
            events.add(event);
            if (event instanceof ContainerEvent.Ended) {
                last.countDown();
            }
        }));
        try (Vm vm = fake.next()) {
            assertThat(vm.arguments()).as("in one go").doesNotContain("--created");
            Path bundle = Path.of(vm.argument("--bundle"));
            assertThat(bundle.resolve("config.json")).exists();
            Container container = started(vm, start);

            assertThat(container.name()).isEqualTo("web");
            assertThat(container.pid()).isEqualTo(vm.process().pid());
            container.stdin().write("echo from stdin\n".getBytes(StandardCharsets.UTF_8));
            container.stdin().flush();
            vm.run("read -r text <&0; $text; echo oops >&2");
            vm.event(Kind.OUT_OF_MEMORY)
                    .event(Kind.WARNING, 0, 0, FakeVmm.end(0, 0), FakeVmm.error(5, "grant", "No"))
                    .exited(0);

            assertThat(container.waitFor()).isEqualTo(new ExitStatus.Exited(0));
            assertThat(container.onExit().get()).isEqualTo(new ExitStatus.Exited(0));
            assertThat(container.oomKills()).isEqualTo(2);
            assertThat(container.state().status()).isEqualTo(ContainerState.Status.STOPPED);
            assertThat(container.state().startedAt()).isPresent();
            assertThat(bundle.getParent()).as("what was made for it").doesNotExist();
            container.close();
            container.close();
            assertThat(container.waitFor()).isEqualTo(new ExitStatus.Exited(0));
            last.await();
        }
        assertThat(events)
                .filteredOn(event -> !(event instanceof ContainerEvent.ImageProgress))
                .hasSize(6)
                .satisfiesExactly(
                        event -> assertThat(event).isInstanceOf(ContainerEvent.Prepared.class),
                        event -> assertThat(event).isInstanceOf(ContainerEvent.Spawned.class),
                        event -> assertThat(event).isEqualTo(new ContainerEvent.Started()),
                        event -> assertThat(event).isEqualTo(new ContainerEvent.OutOfMemory(2)),
                        event -> assertThat(event).isEqualTo(new ContainerEvent.Warning("grant", "No")),
                        event -> assertThat(event).isEqualTo(new ContainerEvent.Ended(new ExitStatus.Exited(0))));
    }

    @Test
    void createdIsNotStarted() throws Exception {
        FutureTask<Container> create = async(() -> runhv.create(spec));
        try (Vm vm = fake.next()) {
            assertThat(vm.arguments()).contains("--created");
            vm.hello().event(Kind.CREATED);
            Container container = create.get();
            assertThat(container.timings()).isEmpty();

            FutureTask<Void> start = async(() -> {
                container.start();
                return null;
            });
            vm.answer(3, new byte[0]);
            vm.started();
            start.get();
            assertThat(container.timings()).isPresent();

            FutureTask<Void> again = async(() -> {
                container.start();
                return null;
            });
            vm.refuse(3, 3, "start", "It was started before");
            assertThatThrownBy(again::get).rootCause().isInstanceOf(RequestException.class);
            vm.exited(0);
            container.waitFor();
            assertThatThrownBy(container::start)
                    .isInstanceOfSatisfying(
                            RequestException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CONFLICT));
        }
    }

    @Test
    void aMicroVmThatCannotBeMadeIsAnExceptionOfCreate() throws Exception {
        assertThat(failureOf(9)).isInstanceOf(HypervisorException.class);
        assertThat(failureOf(3)).isInstanceOf(RequestException.class).hasMessageContaining("It cannot be");
        assertThat(failureOf(4)).isInstanceOf(RequestException.class);
        assertThat(failureOf(10)).isInstanceOf(GuestException.class);
    }

    private Throwable failureOf(int code) throws Exception {
        FutureTask<Container> start = starting();
        Path work;
        try (Vm vm = fake.next()) {
            work = Path.of(vm.argument("--bundle")).getParent();
            vm.hello().failed(code, "make it", "It cannot be");
        }
        try {
            start.get();
            throw new AssertionError("It was started");
        } catch (ExecutionException e) {
            assertThat(work).doesNotExist();
            return e.getCause();
        }
    }

    @Test
    void aProgramThatIsNotThereIsAnEndAndNoException() throws Exception {
        FutureTask<Container> start = starting();
        try (Vm vm = fake.next()) {
            vm.hello()
                    .event(Kind.ENDED, 0, 0, FakeVmm.end(2, 127), FakeVmm.error(2, "run serve", "no such file"))
                    .run("exit 127");
        }
        Container container = start.get();

        assertThat(container.waitFor()).isEqualTo(new ExitStatus.NotStarted(127, "run serve: no such file"));
        assertThat(container.timings()).isEmpty();
        assertThatThrownBy(container::statistics)
                .isInstanceOfSatisfying(
                        RequestException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.NOT_FOUND));
    }

    @Test
    void aGuestThatCrashesLaterIsAnExceptionOfWaitFor() throws Exception {
        FutureTask<Container> start = starting();
        try (Vm vm = fake.next()) {
            Container container = started(vm, start);
            vm.failed(10, "run container web", "The kernel panicked");

            assertThatThrownBy(container::waitFor)
                    .isInstanceOf(GuestException.class)
                    .hasMessageContaining("The kernel panicked");
            assertThatThrownBy(() -> container.waitFor(Duration.ZERO)).isInstanceOf(GuestException.class);
            assertThatThrownBy(() -> container.onExit().get()).hasCauseInstanceOf(GuestException.class);
            assertThat(container.timings()).isPresent();
            container.close();
        }
    }

    @Test
    void closingKillsWaitsAndKeepsWhatWasKnown() throws Exception {
        FutureTask<Container> start = starting();
        try (Vm vm = fake.next()) {
            Container container = started(vm, start);
            vm.run("echo before");
            FutureTask<Void> close = async(() -> {
                container.close();
                return null;
            });
            vm.killed();
            close.get();

            assertThat(container.waitFor()).isEqualTo(KILLED);
            StartTimings timings = container.timings().orElseThrow();
            assertThat(timings.stages())
                    .extracting(StartTimings.Span::stage)
                    .startsWith(StartStage.IMAGE, StartStage.BUNDLE, StartStage.SPAWN)
                    .contains(StartStage.FIRST_INSTRUCTION);
            assertThat(container.stdout()).hasContent("before");
            assertThat(container.statistics().exits().all()).isEqualTo(9000);
            assertThatThrownBy(() -> container.signal(Signal.TERM)).isInstanceOf(ClosedException.class);
            assertThatThrownBy(() -> container.exec(ExecSpec.program("true").build()))
                    .isInstanceOf(ClosedException.class);
        }
    }

    /** The review's race: of 100, 43 told a wrong end. */
    @Test
    void closingWhileItEndsDoesNotChangeTheEnd() throws Exception {
        for (int round = 0; round < 50; round++) {
            FutureTask<Container> start = starting();
            try (Vm vm = fake.next()) {
                Container container = started(vm, start);
                FutureTask<Void> close = async(() -> {
                    container.close();
                    return null;
                });
                vm.exited(0);
                close.get();
                assertThat(container.waitFor()).isEqualTo(new ExitStatus.Exited(0));
                assertThat(container.timings()).isPresent();
            }
        }
    }

    @Test
    void aWaitMayBeLongerThanAnyClock() throws Exception {
        FutureTask<Container> start = starting();
        try (Vm vm = fake.next()) {
            Container container = started(vm, start);
            assertThat(container.waitFor(Duration.ZERO)).isEmpty();
            assertThat(container.waitFor(Duration.ofDays(-400 * 365))).isEmpty();
            FutureTask<?> wait = async(() -> container.waitFor(Duration.ofDays(400 * 365)));
            vm.exited(1);
            assertThat(wait.get()).isEqualTo(java.util.Optional.of(new ExitStatus.Exited(1)));
        }
    }

    @Test
    void whatIsNotConnectedCannotBeWrittenTo() throws Exception {
        spec = ContainerSpec.image(spec.image()).command("serve").build();
        FutureTask<Container> start = starting();
        try (Vm vm = fake.next()) {
            Container container = started(vm, start);
            for (int i = 0; i < 2; i++) {
                assertThatThrownBy(() -> container.stdin().write(1)).isInstanceOf(IOException.class);
                assertThatThrownBy(() -> container.stdin().write(new byte[] {1}))
                        .isInstanceOf(IOException.class)
                        .hasMessageContaining("not connected");
            }
            vm.exited(0);
            container.waitFor();
        }
    }

    @Test
    void signalsPausesAndStopsGoByTheChannel() throws Exception {
        FutureTask<Container> start = starting();
        try (Vm vm = fake.next()) {
            Container container = started(vm, start);
            FutureTask<Void> pause = async(() -> {
                container.pause();
                return null;
            });
            vm.answer(6, new byte[0]);
            pause.get();
            FutureTask<ContainerState> state = async(container::state);
            vm.answer(2, FakeVmm.state(3));
            assertThat(state.get().status()).isEqualTo(ContainerState.Status.PAUSED);
            FutureTask<Void> resume = async(() -> {
                container.resume();
                return null;
            });
            vm.refuse(7, 3, "resume", "It is not paused");
            assertThatThrownBy(resume::get).rootCause().hasMessageContaining("not paused");
            FutureTask<ExitStatus> stop = async(() -> container.stop(Duration.ofSeconds(10)));
            vm.answer(5, new byte[0]);
            vm.exited(0);
            assertThat(stop.get()).isEqualTo(new ExitStatus.Exited(0));

            container.signal(Signal.TERM); // of no effect
            assertThat(container.stop(Duration.ZERO)).isEqualTo(new ExitStatus.Exited(0));
            assertThatThrownBy(container::pause)
                    .isInstanceOfSatisfying(
                            RequestException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CONFLICT));
        }
    }

    @Test
    void aListenerMayAskTheContainerAndMayFail() throws Exception {
        CompletableFuture<Container> known = new CompletableFuture<>();
        CompletableFuture<ContainerState.Status> seen = new CompletableFuture<>();
        FutureTask<Container> start = async(() -> runhv.start(spec, event -> {
            if (event instanceof ContainerEvent.Paused) {
                seen.complete(known.join().state().status());
            } else if (event instanceof ContainerEvent.Started) {
                throw new IllegalStateException("a listener's own");
            }
        }));
        try (Vm vm = fake.next()) {
            known.complete(started(vm, start));
            vm.event(Kind.PAUSED);
            vm.answer(2, FakeVmm.state(3));
            assertThat(seen.get()).isEqualTo(ContainerState.Status.PAUSED);
            vm.exited(0);
            known.get().waitFor();
        }
    }

    private static void countWarning(ContainerEvent event, CountDownLatch heard) {
        if (event instanceof ContainerEvent.Warning) {
            heard.countDown();
        }
    }

    @Test
    void interruptingAStartUndoesIt() throws Exception {
        CompletableFuture<Throwable> thrown = new CompletableFuture<>();
        CountDownLatch heard = new CountDownLatch(1);
        Thread starting = Thread.ofVirtual().start(() -> {
            try {
                runhv.start(spec, event -> countWarning(event, heard));
            } catch (Throwable e) {
                thrown.complete(e);
            }
        });
        try (Vm vm = fake.next()) {
            vm.hello().event(Kind.WARNING);
            heard.await();
            starting.interrupt();
            vm.killed();
            assertThat(thrown.get()).isInstanceOf(InterruptedException.class);
            assertThat(ProcessHandle.of(vm.process().pid())
                            .map(ProcessHandle::isAlive)
                            .orElse(false))
                    .isFalse();
            assertThat(Path.of(vm.argument("--bundle")).getParent()).doesNotExist();
        } catch (java.util.NoSuchElementException e) {
            assertThat(thrown.get()).isInstanceOf(InterruptedException.class); // it is reaped
        }
    }

    @Test
    void interruptingAnImportIsAnInterruption() throws Exception {
        for (boolean prepares : new boolean[] {true, false}) {
            CompletableFuture<Throwable> thrown = new CompletableFuture<>();
            Thread thread = Thread.ofVirtual().start(() -> {
                Thread.currentThread().interrupt();
                try {
                    if (prepares) {
                        runhv.images().prepare(spec.image());
                    } else {
                        runhv.start(spec);
                    }
                } catch (Throwable e) {
                    thrown.complete(e);
                }
            });
            thread.join();
            assertThat(thrown.get()).isInstanceOf(InterruptedException.class);
        }
        assertThat(leftInStore()).isEmpty();
    }

    private List<Path> leftInStore() throws IOException {
        Path rootfs = folder.resolve("store/rootfs");
        if (!Files.exists(rootfs)) {
            return List.of();
        }
        try (Stream<Path> files = Files.list(rootfs)) {
            return files.toList();
        }
    }

    @Test
    void closingRunhvEndsContainersAndThoseThatAreBeingMade() throws Exception {
        FutureTask<Container> first = starting();
        try (Vm running = fake.next()) {
            Container container = started(running, first);
            CountDownLatch heard = new CountDownLatch(1);
            FutureTask<Container> second = async(
                    () -> runhv.create(spec.toBuilder().name("other").build(), event -> countWarning(event, heard)));
            try (Vm making = fake.next()) {
                making.hello().event(Kind.WARNING);
                heard.await();
                FutureTask<Void> close = async(() -> {
                    runhv.close();
                    return null;
                });
                running.killed();
                making.killed();
                close.get();
                assertThatThrownBy(second::get).hasCauseInstanceOf(ClosedException.class);
            }
            assertThat(container.waitFor()).isEqualTo(KILLED);
        }
        assertThatThrownBy(() -> runhv.start(spec)).isInstanceOf(ClosedException.class);
        assertThatThrownBy(() -> runhv.images().prepare(spec.image())).isInstanceOf(ClosedException.class);
    }

    @Test
    void imagesArePreparedApartFromStarts() throws Exception {
        List<ContainerEvent.ImageProgress> progress = new CopyOnWriteArrayList<>();
        var image = runhv.images().prepare(spec.image(), progress::add);
        assertThat(image.reference()).isEqualTo(spec.image());
        assertThat(folder.resolve("store/rootfs/" + image.rootfsKey() + ".erofs"))
                .exists();
        assertThat(progress).isNotEmpty();
        progress.clear();

        assertThat(runhv.images().prepare(spec.image(), progress::add)).isEqualTo(image);
        assertThat(progress).isEmpty();
        assertThatThrownBy(() -> runhv.images().prepare("oci:" + folder.resolve("absent")))
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.NOT_FOUND));
    }

    @Test
    void anotherProcessIsAsTheFirstOneButForWhatIsSaid() throws Exception {
        FutureTask<Container> start = async(() -> runhv.start(spec.toBuilder()
                .process(process -> process.environment("A", "b").workingDirectory("/srv"))
                .build()));
        try (Vm vm = fake.next()) {
            vm.listen();
            Container container = started(vm, start);
            ExecSpec exec = ExecSpec.program("id", "-u")
                    .user("www")
                    .environment("C", "d")
                    .stdout(dev.runhv.api.Output.discard())
                    .stderr(dev.runhv.api.Output.discard())
                    .build();
            FutureTask<?> executing = async(() -> container.exec(exec));
            String json = vm.execRequest(1);
            assertThat(json)
                    .contains("\"args\":[\"id\",\"-u\"]", "\"uid\":33", "\"A=b\"", "\"C=d\"", "\"HOME=/var/www\"")
                    .contains("\"cwd\":\"/srv\"", "\"capabilities\"", "\"terminal\":false");
            executing.get();
            assertThatThrownBy(() ->
                            container.exec(ExecSpec.program("id").user("nobody").build()))
                    .isInstanceOf(RequestException.class)
                    .hasMessageContaining("nobody");
            vm.exited(0);
            container.waitFor();
            assertThatThrownBy(() -> container.exec(ExecSpec.program("id").build()))
                    .isInstanceOfSatisfying(
                            RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CONFLICT));
        }
    }

    @Test
    void aContainerThatIsClosedWhileItRunsIsToldToJfr() throws Exception {
        List<RecordedEvent> events;
        try (Recording recording = new Recording()) {
            recording.start();
            FutureTask<Container> start = starting();
            try (Vm vm = fake.next()) {
                Container container = started(vm, start);
                FutureTask<Void> close = async(() -> {
                    container.close();
                    return null;
                });
                vm.killed();
                close.get();
            }
            recording.stop();
            Path file = folder.resolve("starts.jfr");
            recording.dump(file);
            events = RecordingFile.readAllEvents(file).stream()
                    .filter(event -> event.getEventType().getName().startsWith("dev.runhv."))
                    .toList();
        }

        RecordedEvent start = only("dev.runhv.Start", events);
        RecordedEvent run = only("dev.runhv.Run", events);
        assertThat(start.getString("container")).isEqualTo("web");
        assertThat(start.getDuration()).isPositive();
        assertThat(start.getDuration("timeToFirstInstruction")).isEqualTo(Duration.ofMillis(5));
        assertThat(start.getLong("exits")).isEqualTo(90);
        assertThat(start.getLong("instructions")).isEqualTo(5_000_000);
        assertThat(run.getStartTime()).isAfterOrEqualTo(start.getEndTime());
        assertThat(run.getInt("exitStatus")).isEqualTo(137);
        assertThat(run.getLong("exits")).isEqualTo(9000);
        assertThat(run.getLong("instructions")).isEqualTo(-1);
        assertThat(events)
                .filteredOn(event -> event.getEventType().getName().equals("dev.runhv.StartStage"))
                .extracting(event -> event.getString("stage"))
                .containsExactly("image", "bundle", "spawn", "partition", "memory", "kernel", "agent");
    }

    private static RecordedEvent only(String type, List<RecordedEvent> events) {
        return events.stream()
                .filter(event -> event.getEventType().getName().equals(type))
                .reduce((a, b) -> {
                    throw new AssertionError("Twice: " + type);
                })
                .orElseThrow();
    }
}
