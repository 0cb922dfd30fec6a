package dev.runhv.vmm.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.ClosedException;
import dev.runhv.api.Container;
import dev.runhv.api.ContainerEvent;
import dev.runhv.api.ContainerSpec;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.Runhv;
import dev.runhv.api.Signal;
import dev.runhv.api.StartTimings;
import dev.runhv.vmm.process.Distribution;
import dev.runhv.vmm.testing.InstalledDistribution;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
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
                .environment("A", "b")
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
            assertThat(timings.engine()).isEqualTo("soft");
            assertThat(timings.stages()).extracting(StartTimings.Stage::name).contains("kernel", "first_instruction");
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
                var thread = new Thread(() -> started[0] = Runhv.open().start(spec));
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
                .startsWith(ContainerEvent.Prepared.class, ContainerEvent.Started.class);
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
        assertThat(container.waitFor()).isEqualTo(new ExitStatus.Signaled(9));
        assertThatThrownBy(() -> container.signal(Signal.TERM)).isInstanceOf(ClosedException.class);
    }

    private Runhv open() {
        return new LocalRunhv(distribution, folder.resolve("store"));
    }
}
