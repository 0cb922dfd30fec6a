package dev.runhv.benchmarks;

import dev.runhv.vmm.image.ImageReference;
import dev.runhv.vmm.image.ImageSource;
import dev.runhv.vmm.rootfs.ErofsReader;
import dev.runhv.vmm.rootfs.PreparedRootfs;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.rootfs.RootfsStore;
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

/** Files read out of a root file system that is in the page cache. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 3, jvmArgsAppend = "--enable-native-access=ALL-UNNAMED")
public class ErofsReadBenchmark {
    private static final int LIMIT = 64 << 20;

    @Param({"busybox", "debian"})
    public String image;

    private Workspace workspace;
    private PreparedRootfs rootfs;
    private ErofsReader reader;
    private String program;

    @Setup
    public void prepare() throws IOException, InterruptedException {
        workspace = Workspace.create();
        try (ImageSource source = ImageSource.open(ImageReference.parse(Workspace.image(image)), workspace.store())) {
            rootfs = new RootfsStore(workspace.store()).prepare(source, RootfsProgress.NONE);
        }
        reader = rootfs.open();
        program = image.equals("busybox") ? "/bin/busybox" : "/usr/bin/perl";
    }

    /** Not inside of what is measured. */
    @TearDown(Level.Iteration)
    public void tellSize() {
        SecondaryMetrics.record("file.bytes", reader.readFile(program, LIMIT).length, "B");
    }

    @TearDown
    public void remove() throws IOException {
        reader.close();
        workspace.remove();
    }

    /** As each start does, to find a user. */
    @Benchmark
    public byte[] openAndReadPasswd() {
        try (ErofsReader files = rootfs.open()) {
            return files.readFile("/etc/passwd", LIMIT);
        }
    }

    /** Some megabytes in one piece. */
    @Benchmark
    public byte[] readProgram() {
        return reader.readFile(program, LIMIT);
    }
}
