package dev.runhv.vmm.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.runhv.api.ClosedException;
import dev.runhv.api.Container;
import dev.runhv.api.ContainerEvent;
import dev.runhv.api.ContainerSpec;
import dev.runhv.api.ContainerState;
import dev.runhv.api.Engine;
import dev.runhv.api.ErrorCode;
import dev.runhv.api.ExecProcess;
import dev.runhv.api.ExecSpec;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.HypervisorException;
import dev.runhv.api.Image;
import dev.runhv.api.RequestException;
import dev.runhv.api.Runhv;
import dev.runhv.api.Signal;
import dev.runhv.api.StartStage;
import dev.runhv.api.StartTimings;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.process.Distribution;
import dev.runhv.vmm.testing.InstalledDistribution;
import dev.runhv.vmm.testing.LoopbackRegistry;
import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Containers through the Java API, with the image that {@code tools/dev images} makes. */
class LocalRunhvIT {
    private static final String IMAGE = "oci:" + InstalledDistribution.sources().resolve("build/images/busybox");

    @TempDir
    Path folder;

    private Distribution distribution;

    @BeforeEach
    void distribution() {
        distribution = new Distribution(InstalledDistribution.home());
    }

    @Test
    void streamsAreSeparateAndTheStatusIsTheContainers() throws Exception {
        ContainerSpec spec = ContainerSpec.image(IMAGE)
                .command("sh", "-c", "read line; echo \"got $line $A\"; echo oops >&2; exit 42")
                .process(process -> process.environment("A", "b"))
                .stdin()
                .build();
        try (Runhv runhv = open();
                Container container = runhv.start(spec)) {
            container.stdin().write("ping\n".getBytes(StandardCharsets.UTF_8));
            container.stdin().close();

            assertThat(container.stdout()).hasContent("got ping b");
            assertThat(container.stderr()).hasContent("oops");
            assertThat(container.waitFor()).isEqualTo(new ExitStatus.Exited(42));
            StartTimings timings = container.timings().orElseThrow();
            assertThat(timings.engine()).isEqualTo(Engine.SOFT);
            assertThat(timings.stages())
                    .extracting(StartTimings.Span::stage)
                    .contains(StartStage.IMAGE, StartStage.KERNEL, StartStage.FIRST_INSTRUCTION);
        }
    }

    @Test
    void theFirstProcessHasATerminal() throws Exception {
        ContainerSpec spec = ContainerSpec.image(IMAGE)
                .command(
                        "sh",
                        "-c",
                        "tty; stty size; read line; echo \"got $line\" >&2;"
                                + " until [ \"$(stty size)\" = '25 80' ]; do sleep 0.1; done; echo resized")
                .process(process -> process.terminal(100, 40))
                .build();
        try (Runhv runhv = open();
                Container container = runhv.start(spec)) {
            BufferedReader lines =
                    new BufferedReader(new InputStreamReader(container.stdout(), StandardCharsets.UTF_8));
            assertThat(lines.readLine()).startsWith("/dev/pts/");
            assertThat(lines.readLine()).isEqualTo("40 100");
            container.resize(80, 25);
            container.stdin().write("ping\n".getBytes(StandardCharsets.UTF_8));
            container.stdin().flush();

            assertThat(lines.lines()).containsExactly("ping", "got ping", "resized");
            assertThat(container.stderr()).isEmpty();
            assertThat(container.waitFor()).isEqualTo(new ExitStatus.Exited(0));
            container.resize(80, 25); // of no effect
        }
    }

    @Test
    void aPulledImageRunsByItsName() throws Exception {
        try (Runhv runhv = open()) {
            Image image;
            try (LoopbackRegistry registry = new LoopbackRegistry()) {
                registry.serve("latest", InstalledDistribution.sources().resolve("build/images/busybox"));
                image = runhv.images().pull(registry.authority() + "/busybox");
            }
            // It asks nobody any more.
            try (Container container = runhv.start(ContainerSpec.image(image.name())
                            .command("sha256sum", "/bin/busybox")
                            .build());
                    InputStream program = runhv.images().openFile(image.id(), "/bin/busybox")) {
                String digest = Digest.sha256(program.readAllBytes()).hex();
                assertThat(container.stdout()).hasContent(digest + "  /bin/busybox");
                assertThat(container.waitFor()).isEqualTo(new ExitStatus.Exited(0));
            }
        }
    }

    @Test
    void othersReadTheAnnotations() throws Exception {
        ContainerSpec spec = ContainerSpec.image(IMAGE)
                .command("sleep", "1000")
                .annotation("com.example.job", "seven \"7\"")
                .build();
        try (Runhv runhv = open();
                Container container = runhv.start(spec)) {
            Process state = new ProcessBuilder(
                            distribution.home().resolve("bin/runhv").toString(),
                            "--root",
                            folder.resolve("root").toString(),
                            "state",
                            container.name())
                    .redirectError(ProcessBuilder.Redirect.INHERIT)
                    .start();
            assertThat(state.getInputStream())
                    .asString(StandardCharsets.UTF_8)
                    .contains("com.example.job", "seven \\\"7\\\"");
            assertThatThrownBy(() -> container.resize(80, 25))
                    .isInstanceOf(RequestException.class)
                    .hasMessageContaining("say terminal() in the specification");
        }
    }

    @Test
    void aProgramThatIsNotThereIsNotStarted() throws Exception {
        try (Runhv runhv = open();
                Container container = runhv.start(
                        ContainerSpec.image(IMAGE).command("/no/such").build())) {
            assertThat(container.stderr().readAllBytes()).asString().contains("/no/such");
            assertThat(container.waitFor()).isInstanceOfSatisfying(ExitStatus.NotStarted.class, status -> {
                assertThat(status.code()).isEqualTo(127);
                assertThat(status.reason()).contains("/no/such");
            });
        }
    }

    @Test
    void whatCannotBeIsAnExceptionOfStart() throws Exception {
        Path kernel = Files.writeString(folder.resolve("kernel"), "no kernel");
        try (Runhv runhv = open()) {
            assertThatThrownBy(() -> runhv.start(ContainerSpec.image(IMAGE)
                            .command("true")
                            .engine(Engine.WHP)
                            .build()))
                    .isInstanceOf(HypervisorException.class);
            assertThatThrownBy(() -> runhv.start(ContainerSpec.image(IMAGE)
                            .command("true")
                            .kernel(kernel)
                            .build()))
                    .isInstanceOfSatisfying(
                            RequestException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CORRUPT_INPUT));
            ContainerSpec named = ContainerSpec.image(IMAGE)
                    .name("taken")
                    .command("sleep", "1000")
                    .build();
            try (Container container = runhv.start(named)) {
                assertThat(container.state().status()).isEqualTo(ContainerState.Status.RUNNING);
                assertThatThrownBy(() -> runhv.start(named))
                        .isInstanceOfSatisfying(
                                RequestException.class,
                                e -> assertThat(e.code()).isEqualTo(ErrorCode.CONFLICT));
            }
            runhv.start(named).close(); // the name is free again
        }
    }

    @Test
    void otherProcessesRunInTheContainer() throws Exception {
        try (Runhv runhv = open();
                Container container = runhv.start(
                        ContainerSpec.image(IMAGE).command("sleep", "1000").build())) {
            ExecProcess exec = container.exec(ExecSpec.program("sh", "-c", "cat; echo $A; echo oops >&2; exit 7")
                    .environment("A", "b")
                    .stdin()
                    .build());
            exec.stdin().write("ping ".getBytes(StandardCharsets.UTF_8));
            exec.stdin().close();
            assertThat(exec.waitFor()).isEqualTo(new ExitStatus.Exited(7));
            assertThat(exec.stdout()).hasContent("ping b");
            assertThat(exec.stderr()).hasContent("oops");

            assertThat(container.exec(ExecSpec.program("/no/such").build()).waitFor())
                    .isInstanceOfSatisfying(
                            ExitStatus.NotStarted.class,
                            status -> assertThat(status.code()).isEqualTo(127));
            ExecProcess terminal = container.exec(ExecSpec.program("sh", "-c", "tty; stty size")
                    .terminal(100, 40)
                    .build());
            assertThat(terminal.waitFor()).isEqualTo(new ExitStatus.Exited(0));
            assertThat(terminal.stdout()).asString(StandardCharsets.UTF_8).contains("/dev/pts/", "40 100");
            ExecProcess sleeping =
                    container.exec(ExecSpec.program("sleep", "1000").build());
            sleeping.signal(Signal.TERM);
            assertThat(sleeping.waitFor()).isEqualTo(new ExitStatus.Signaled(Signal.TERM));
        }
    }

    @Test
    void aContainerIsPausedResumedAndStopped() throws Exception {
        try (Runhv runhv = open();
                Container container = runhv.create(ContainerSpec.image(IMAGE)
                        .command("sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done")
                        .build())) {
            assertThat(container.state().status()).isEqualTo(ContainerState.Status.CREATED);
            assertThat(container.timings()).isEmpty();
            container.start();
            assertThat(container.timings()).isPresent();
            assertThat(container.stdout().readNBytes(6)).asString().isEqualTo("ready\n");
            container.pause();
            long instructions = container.statistics().instructions().orElseThrow();
            assertThat(container.state().status()).isEqualTo(ContainerState.Status.PAUSED);
            assertThat(container.statistics().instructions()).hasValue(instructions);
            container.resume();
            assertThat(container.stop(Duration.ofSeconds(60))).isEqualTo(new ExitStatus.Exited(9));
            assertThat(container.state().status()).isEqualTo(ContainerState.Status.STOPPED);
            assertThat(container.statistics().instructions().orElseThrow()).isGreaterThan(instructions);
        }
    }

    @Test
    void anExitWith130IsNoSignal() throws Exception {
        assertThat(endOf("exit 130")).isEqualTo(new ExitStatus.Exited(130));
        assertThat(endOf("exit 127")).isEqualTo(new ExitStatus.Exited(127));
    }

    private ExitStatus endOf(String script) throws InterruptedException {
        try (Runhv runhv = open();
                Container container = runhv.start(
                        ContainerSpec.image(IMAGE).command("sh", "-c", script).build())) {
            return container.waitFor();
        }
    }

    @Test
    void aJvmThatIsKilledTakesItsContainersWithIt() throws Exception {
        assumeTrue(
                ModuleLayer.boot().findModule("jdk.compiler").isPresent(),
                "This Java has no compiler, which starts a program of its source");
        Path program = Files.writeString(folder.resolve("Killed.java"), KILLED_JVM.replace("IMAGE", IMAGE));
        ProcessBuilder java = new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Drunhv.home=" + distribution.home(),
                "-Drunhv.store=" + folder.resolve("store"),
                "-Djava.io.tmpdir=" + folder,
                "-p",
                distribution.home().resolve("lib/java").toString(),
                "--add-modules",
                "dev.runhv.vmm",
                "--enable-native-access=dev.runhv.vmm,com.github.luben.zstd_jni",
                program.toString());
        java.redirectError(ProcessBuilder.Redirect.INHERIT);
        Process jvm = java.start();
        ProcessHandle container =
                ProcessHandle.of(Long.parseLong(jvm.inputReader().readLine())).orElseThrow();
        assertThat(container.isAlive()).isTrue();

        jvm.destroyForcibly().waitFor();

        container.onExit().get(60, TimeUnit.SECONDS);
    }

    // Starts a container on a thread that ends, says its pid once it runs, and waits to be killed.
    private static final String KILLED_JVM = """
            import dev.runhv.api.*;

            void main() throws Exception {
                var started = new Container[1];
                var spec = ContainerSpec.image("IMAGE")
                        .command("sh", "-c", "echo ready; while :; do sleep 1; done")
                        .build();
                var thread = new Thread(() -> {
                    try {
                        started[0] = Runhv.open().start(spec);
                    } catch (InterruptedException e) {
                        throw new IllegalStateException(e);
                    }
                });
                thread.start();
                thread.join();
                started[0].stdout().readNBytes(6);
                IO.println(started[0].pid());
                started[0].waitFor();
            }
            """;

    @Test
    void signalsArriveAndEventsTellTheStory() throws Exception {
        List<ContainerEvent> events = new CopyOnWriteArrayList<>();
        ContainerSpec spec = ContainerSpec.image(IMAGE)
                .command("sh", "-c", "trap 'exit 7' USR1; echo ready; while :; do sleep 1; done")
                .build();
        try (Runhv runhv = open();
                Container container = runhv.start(spec, events::add)) {
            assertThat(new String(container.stdout().readNBytes(6), StandardCharsets.UTF_8))
                    .isEqualTo("ready\n");
            container.signal(Signal.USR1);

            assertThat(container.waitFor()).isEqualTo(new ExitStatus.Exited(7));
        }
        assertThat(events).hasAtLeastOneElementOfType(ContainerEvent.ImageProgress.class);
        assertThat(events)
                .filteredOn(event -> !(event instanceof ContainerEvent.ImageProgress))
                .extracting(Object::getClass)
                .startsWith(
                        ContainerEvent.Prepared.class,
                        ContainerEvent.Spawned.class,
                        ContainerEvent.Created.class,
                        ContainerEvent.Started.class);
    }

    @Test
    void closingEndsWhatRuns() throws Exception {
        Container container;
        long pid;
        try (Runhv runhv = open()) {
            container = runhv.start(
                    ContainerSpec.image(IMAGE).command("sleep", "1000").build());
            pid = container.pid();
            assertThat(ProcessHandle.of(pid)).isPresent();
        }

        assertThat(ProcessHandle.of(pid)).isEmpty();
        assertThat(container.waitFor()).isEqualTo(new ExitStatus.Signaled(Signal.KILL));
        assertThatThrownBy(() -> container.signal(Signal.TERM)).isInstanceOf(ClosedException.class);
    }

    private Runhv open() {
        return Runhv.builder()
                .home(distribution.home())
                .store(folder.resolve("store"))
                .root(folder.resolve("root"))
                .open();
    }
}
