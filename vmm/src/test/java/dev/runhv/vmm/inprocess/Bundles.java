package dev.runhv.vmm.inprocess;

import dev.runhv.vmm.image.PullPolicy;
import dev.runhv.vmm.image.PullProgress;
import dev.runhv.vmm.process.Distribution;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.runtime.BundlePreparation;
import dev.runhv.vmm.runtime.BundleRequest;
import dev.runhv.vmm.testing.InstalledDistribution;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** Micro-VMs of the busybox image in this process, for tests; skips the test where there is no native build. */
public final class Bundles {
    private final Path folder;
    private final InProcessVm.Core core;
    private int made;

    /** @param folder of the test, empty */
    public Bundles(Path folder) {
        Distribution distribution = new Distribution(InstalledDistribution.home());
        this.folder = folder;
        this.core = new InProcessVm.Core(
                distribution.jniLibrary(), distribution.kernel(), distribution.initrd(), distribution.scratch());
    }

    InProcessVm.Core core() {
        return core;
    }

    /** Made, not started. */
    public InProcessVm create(String... command) {
        return create(0, 0, command);
    }

    /** 0 for what runhv gives where nothing is said. */
    InProcessVm create(long memoryBytes, int cpus, String... command) {
        return createOf(bundle(memoryBytes, cpus, command));
    }

    InProcessVm createOf(Path bundle) {
        return InProcessVm.create(core, "in-process", bundle, "", InProcessVm.Streams.NULL);
    }

    Path bundle(long memoryBytes, int cpus, String... command) {
        String name = "bundle-" + ++made;
        Path bundle = folder.resolve(name);
        BundleRequest request = new BundleRequest(
                name,
                "oci:" + InstalledDistribution.sources().resolve("build/images/busybox"),
                folder.resolve("store"),
                bundle,
                List.of(),
                "",
                "",
                null,
                List.of(command),
                "",
                memoryBytes,
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
            throw new AssertionError(e);
        }
        return bundle;
    }
}
