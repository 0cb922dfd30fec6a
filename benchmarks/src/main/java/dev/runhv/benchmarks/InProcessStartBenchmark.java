package dev.runhv.benchmarks;

import dev.runhv.api.ExitStatus;
import dev.runhv.vmm.inprocess.InProcessVm;
import dev.runhv.vmm.inprocess.LiveStatistics;
import java.io.IOException;
import java.nio.file.Path;
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

/** One container from nothing to gone, in the JVM's own process: no spawn, no image, no bundle in the time. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 2)
@Measurement(iterations = 10)
@Fork(value = 3, jvmArgsAppend = "--enable-native-access=ALL-UNNAMED")
public class InProcessStartBenchmark {
    /** Of the micro-VM, in MiB. */
    @Param({"64", "128", "512"})
    public int memory;

    @Param({"1", "2"})
    public int cpus;

    @Param({"busybox", "debian"})
    public String image;

    private Workspace workspace;
    private InProcessVm.Core core;
    private Path bundle;

    @Setup
    public void prepare() throws IOException {
        core = Workspace.core();
        workspace = Workspace.create();
        bundle = workspace.bundle(image, memory, cpus, "/bin/true");
    }

    @TearDown
    public void remove() throws IOException {
        workspace.remove();
    }

    @Benchmark
    public ExitStatus startAndEnd() throws InterruptedException {
        try (InProcessVm vm = InProcessVm.create(core, "benchmark", bundle, "", InProcessVm.Streams.NULL)) {
            LiveStatistics live = vm.statistics();
            vm.start();
            ExitStatus status = vm.waitFor();
            StartMetrics.record(live, status);
            return status;
        }
    }
}
