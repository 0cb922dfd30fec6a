package dev.runhv.benchmarks;

import dev.runhv.api.ExitStatus;
import dev.runhv.vmm.nativebind.InProcessVm;
import dev.runhv.vmm.process.Distribution;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.runtime.BundlePreparation;
import dev.runhv.vmm.runtime.BundleRequest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
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
public class StartBenchmark {
    /** Of the micro-VM, in MiB. */
    @Param({"64", "128", "512"})
    public int memory;

    /** See the README for one that {@code tools/dev images} makes. */
    @Param("oci:build/images/busybox")
    public String image;

    private Path folder;
    private Path bundle;
    private InProcessVm.Core core;

    @Setup
    public void prepare() throws IOException {
        Distribution distribution = Distribution.find();
        core = new InProcessVm.Core(
                distribution.jniLibrary(), distribution.kernel(), distribution.initrd(), distribution.scratch());
        folder = Files.createTempDirectory("runhv-benchmark-");
        bundle = folder.resolve("bundle");
        BundleRequest request = new BundleRequest(
                "benchmark",
                image,
                folder.resolve("store"),
                bundle,
                List.of(),
                "",
                "",
                null,
                List.of("/bin/true"),
                "",
                (long) memory << 20,
                1,
                0,
                null,
                false,
                "");
        BundlePreparation.prepare(request, RootfsProgress.NONE);
    }

    @Benchmark
    public ExitStatus startAndEnd() {
        try (InProcessVm vm = InProcessVm.create(core, "benchmark", bundle, "", InProcessVm.Streams.NULL)) {
            vm.start();
            ExitStatus status = vm.waitFor();
            if (!status.isSuccess()) {
                // A start that fails early would look fast.
                throw new IllegalStateException("The container ended with " + status);
            }
            return status;
        }
    }

    @TearDown
    public void remove() throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }
}
