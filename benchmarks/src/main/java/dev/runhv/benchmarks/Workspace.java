package dev.runhv.benchmarks;

import dev.runhv.api.Runhv;
import dev.runhv.vmm.image.PullPolicy;
import dev.runhv.vmm.image.PullProgress;
import dev.runhv.vmm.inprocess.InProcessVm;
import dev.runhv.vmm.process.Distribution;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.runtime.BundlePreparation;
import dev.runhv.vmm.runtime.BundleRequest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * A folder of a benchmark's own.
 *
 * @param path gone after {@link #remove()}
 */
record Workspace(Path path) {
    /** Of the images that {@code tools/dev images} makes: the system property {@code runhv.images}. */
    static String image(String name) {
        return "oci:"
                + Path.of(System.getProperty("runhv.images", "build/images"))
                        .resolve(name)
                        .toAbsolutePath();
    }

    static Workspace create() throws IOException {
        return new Workspace(Files.createTempDirectory("runhv-benchmark-"));
    }

    static InProcessVm.Core core() {
        Distribution distribution = Distribution.find();
        return new InProcessVm.Core(
                distribution.jniLibrary(), distribution.kernel(), distribution.initrd(), distribution.scratch());
    }

    /** Root file systems that are made before the measurement: of all forks, where the system property names one. */
    Path store() {
        return Path.of(System.getProperty("runhv.store", path.resolve("store").toString()));
    }

    /** Containers whose names are nobody else's. */
    Runhv open() {
        return Runhv.builder().store(store()).root(path.resolve("root")).open();
    }

    /** A bundle that a micro-VM may be made of any number of times. */
    Path bundle(String image, int memoryMebibytes, int cpus, String... command) {
        Path bundle = path.resolve("bundle");
        BundleRequest request = new BundleRequest(
                "benchmark",
                image(image),
                store(),
                bundle,
                List.of(),
                "",
                "",
                null,
                List.of(command),
                "",
                (long) memoryMebibytes << 20,
                cpus,
                0,
                null,
                null,
                false,
                "",
                Map.of(),
                Map.of(),
                null);
        try {
            BundlePreparation.prepare(request, PullPolicy.MISSING, PullProgress.NONE, RootfsProgress.NONE);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e); // JMH interrupts what hangs
        }
        return bundle;
    }

    void remove() throws IOException {
        remove(path);
    }

    static void remove(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }
}
