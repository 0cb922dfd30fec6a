package dev.runhv.benchmarks;

import dev.runhv.vmm.image.ImageReference;
import dev.runhv.vmm.image.ImageSource;
import dev.runhv.vmm.rootfs.PreparedRootfs;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.rootfs.RootfsStore;
import java.io.IOException;
import java.nio.file.Files;
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

/** An image's layers made into a root file system, in an empty store. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 3)
@Measurement(iterations = 10)
@Fork(value = 3, jvmArgsAppend = "--enable-native-access=ALL-UNNAMED")
public class ImageToErofsBenchmark {
    @Param({"busybox", "debian"})
    public String image;

    private ImageReference reference;
    private Workspace workspace;
    private Path store;
    private long erofsBytes;

    @Setup
    public void prepare() throws IOException {
        reference = ImageReference.parse(Workspace.image(image));
        workspace = Workspace.create();
    }

    @Setup(Level.Iteration)
    public void emptyStore() {
        store = workspace.path().resolve("empty");
    }

    @TearDown(Level.Iteration)
    public void removeStore() throws IOException {
        SecondaryMetrics.record("erofs.bytes", erofsBytes, "B");
        Workspace.remove(store);
    }

    @TearDown
    public void remove() throws IOException {
        workspace.remove();
    }

    @Benchmark
    public PreparedRootfs make() throws IOException, InterruptedException {
        long begun = System.nanoTime();
        try (ImageSource source = ImageSource.open(reference, store)) {
            PreparedRootfs rootfs = new RootfsStore(store).prepare(source, RootfsProgress.NONE);
            erofsBytes = Files.size(rootfs.image());
            for (Path layer : rootfs.layers()) {
                erofsBytes += Files.size(layer);
            }
            // Bytes per microsecond.
            SecondaryMetrics.record("erofs.rate", erofsBytes / ((System.nanoTime() - begun) / 1e3), "MB/s");
            return rootfs;
        }
    }
}
