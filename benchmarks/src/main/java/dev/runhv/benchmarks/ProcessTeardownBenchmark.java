package dev.runhv.benchmarks;

import dev.runhv.api.Container;
import dev.runhv.api.ContainerSpec;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.Runhv;
import dev.runhv.api.Signal;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** The end of a container that runs, through the Java API: from KILL until its process is gone and reaped. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 2)
@Measurement(iterations = 10)
@Fork(value = 3, jvmArgsAppend = "--enable-native-access=ALL-UNNAMED")
public class ProcessTeardownBenchmark {
    /** Of the micro-VM, in MiB. */
    @Param({"64", "128", "512"})
    public int memory;

    private Workspace workspace;
    private Runhv runhv;
    private ContainerSpec spec;
    private Container container;

    @Setup
    public void prepare() throws IOException {
        workspace = Workspace.create();
        runhv = workspace.open();
        spec = ContainerSpec.image(Workspace.image("busybox"))
                .resources(resources -> resources.memoryMebibytes(memory))
                .command("sh", "-c", "echo up; exec sleep 1000000")
                .build();
    }

    @Setup(Level.Iteration)
    public void start() throws IOException, InterruptedException {
        container = runhv.start(spec);
        if (container.stdout().read() != 'u') {
            throw new IllegalStateException("The container did not come up");
        }
    }

    @TearDown(Level.Iteration)
    public void close() {
        container.close();
    }

    @TearDown
    public void remove() throws IOException {
        runhv.close();
        workspace.remove();
    }

    @Benchmark
    public ExitStatus kill() throws InterruptedException {
        container.signal(Signal.KILL);
        return container.waitFor();
    }
}
