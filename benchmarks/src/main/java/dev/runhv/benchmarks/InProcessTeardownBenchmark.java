package dev.runhv.benchmarks;

import dev.runhv.vmm.inprocess.InProcessVm;
import java.io.IOException;
import java.nio.file.Path;
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

/** The end of a VM in the JVM's own process whose container runs: destroyed, its memory given back. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 2)
@Measurement(iterations = 10)
@Fork(value = 3, jvmArgsAppend = "--enable-native-access=ALL-UNNAMED")
public class InProcessTeardownBenchmark {
    /** Of the micro-VM, in MiB. */
    @Param({"64", "128", "512"})
    public int memory;

    private Workspace workspace;
    private InProcessVm.Core core;
    private Path bundle;
    private InProcessVm vm;

    @Setup
    public void prepare() throws IOException {
        core = Workspace.core();
        workspace = Workspace.create();
        bundle = workspace.bundle("busybox", memory, 1, "sleep", "1000000");
    }

    @Setup(Level.Iteration)
    public void start() throws InterruptedException {
        vm = InProcessVm.create(core, "benchmark", bundle, "", InProcessVm.Streams.NULL);
        vm.start();
        vm.awaitStarted();
        if (vm.timings().timeToFirstInstruction().isEmpty()) {
            throw new IllegalStateException("The container did not start: " + vm.waitFor());
        }
        SecondaryMetrics.record("guest.residentBytes", vm.counted().guestMemoryResidentBytes(), "B");
    }

    @TearDown
    public void remove() throws IOException {
        workspace.remove();
    }

    @Benchmark
    public void destroy() {
        vm.close();
    }
}
