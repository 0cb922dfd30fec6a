package dev.runhv.benchmarks;

import dev.runhv.api.Container;
import dev.runhv.api.ContainerSpec;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.Runhv;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** One container through the Java API, from {@code start} to gone: bundle, process, micro-VM. The store has the image. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 2)
@Measurement(iterations = 10)
@Fork(value = 3, jvmArgsAppend = "--enable-native-access=ALL-UNNAMED")
public class ProcessStartBenchmark {
    /** Of the micro-VM, in MiB. */
    @Param({"64", "128", "512"})
    public int memory;

    @Param({"1", "2"})
    public int cpus;

    @Param({"busybox", "debian"})
    public String image;

    private Workspace workspace;
    private Runhv runhv;
    private ContainerSpec spec;

    @Setup
    public void prepare() throws IOException, InterruptedException {
        workspace = Workspace.create();
        runhv = workspace.open();
        spec = ContainerSpec.image(Workspace.image(image))
                .resources(resources -> resources.memoryMebibytes(memory).cpus(cpus))
                .process(process -> process.entrypoint().command("/bin/true"))
                .build();
        runhv.images().prepare(spec.image());
    }

    @TearDown
    public void remove() throws IOException {
        runhv.close();
        workspace.remove();
    }

    @Benchmark
    public ExitStatus startAndEnd() throws InterruptedException {
        try (Container container = runhv.start(spec)) {
            ExitStatus status = container.waitFor();
            StartMetrics.record(container.timings().orElseThrow(), status);
            return status;
        }
    }
}
