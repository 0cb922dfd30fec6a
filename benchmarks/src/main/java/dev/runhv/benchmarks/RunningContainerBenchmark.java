package dev.runhv.benchmarks;

import dev.runhv.api.Container;
import dev.runhv.api.ContainerSpec;
import dev.runhv.api.ContainerState;
import dev.runhv.api.ContainerStatistics;
import dev.runhv.api.ExecSpec;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.Output;
import dev.runhv.api.Runhv;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** What is asked of a container that runs, by its control channel. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(value = 3, jvmArgsAppend = "--enable-native-access=ALL-UNNAMED")
public class RunningContainerBenchmark {
    private static final ExecSpec TRUE = ExecSpec.program("true")
            .stdout(Output.discard())
            .stderr(Output.discard())
            .build();

    private Workspace workspace;
    private Runhv runhv;
    private Container container;

    @Setup
    public void start() throws IOException, InterruptedException {
        workspace = Workspace.create();
        runhv = workspace.open();
        container = runhv.start(ContainerSpec.image(Workspace.image("busybox"))
                .command("sleep", "1000000")
                .build());
    }

    @TearDown
    public void remove() throws IOException {
        runhv.close();
        workspace.remove();
    }

    /** Another process, from the call to its end. */
    @Benchmark
    public ExitStatus execTrue() throws InterruptedException {
        ExitStatus status = container.exec(TRUE).waitFor();
        if (!status.isSuccess()) {
            throw new IllegalStateException("true ended with " + status);
        }
        return status;
    }

    @Benchmark
    public ContainerState state() {
        return container.state();
    }

    @Benchmark
    public ContainerStatistics statistics() {
        return container.statistics();
    }
}
