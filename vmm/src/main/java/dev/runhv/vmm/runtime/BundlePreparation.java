package dev.runhv.vmm.runtime;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.image.ImageReference;
import dev.runhv.vmm.image.ImageSource;
import dev.runhv.vmm.image.PullPolicy;
import dev.runhv.vmm.image.PullProgress;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.rootfs.ErofsReader;
import dev.runhv.vmm.rootfs.PreparedRootfs;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.rootfs.RootfsStore;
import java.nio.file.Path;

/** From an image to a bundle: everything that Java does for a container before its micro-VM starts. */
public final class BundlePreparation {
    private static final int DATABASE_BYTES = 1 << 20;

    private BundlePreparation() {}

    /**
     * Makes the root file system, unless the store has it, and the bundle. Where it throws, there is no bundle.
     *
     * @param pulled is told how an image comes from its registry
     * @throws RunhvException with what was attempted and why it did not work
     * @throws InterruptedException when the thread is interrupted; what was begun is gone
     */
    public static void prepare(BundleRequest request, PullPolicy policy, PullProgress pulled, RootfsProgress progress)
            throws InterruptedException {
        BundleWriter.checkAbsent(request);
        bundle(request, rootfs(request.image(), request.store(), policy, pulled, progress));
    }

    /**
     * Makes the root file system of an image, unless the store has it.
     *
     * @throws RunhvException with what was attempted and why it did not work
     * @throws InterruptedException when the thread is interrupted; what was begun is gone
     */
    static PreparedRootfs rootfs(String image, Path store, RootfsProgress progress) throws InterruptedException {
        return rootfs(image, store, PullPolicy.MISSING, PullProgress.NONE, progress);
    }

    private static PreparedRootfs rootfs(
            String image, Path store, PullPolicy policy, PullProgress pulled, RootfsProgress progress)
            throws InterruptedException {
        PreparedRootfs rootfs = prepared(ImageReference.parse(image), store, policy, pulled, progress);
        if (!rootfs.config().saysPlatform()) {
            progress.warn("the image does not say what it was built for; it is taken for linux/amd64");
        }
        return rootfs;
    }

    private static PreparedRootfs prepared(
            ImageReference image, Path store, PullPolicy policy, PullProgress pulled, RootfsProgress progress)
            throws InterruptedException {
        RootfsStore made = new RootfsStore(store);
        if (!(image instanceof ImageReference.InRegistry(Reference name))) {
            return made.prepare(image, progress);
        }
        try (ImageSource source = ImageSource.pull(name, store, policy, pulled)) {
            // Who is told how layers come sees how they are read.
            return made.prepare(source, pulled.equals(PullProgress.NONE) ? progress : progress.warnings());
        }
    }

    /**
     * Makes the bundle. Where it throws, there is none.
     *
     * @return the container's first process
     * @throws RunhvException with what was attempted and why it did not work
     */
    static ProcessPlan bundle(BundleRequest request, PreparedRootfs rootfs) {
        ProcessPlan process = ProcessPlan.of(request, rootfs.config(), users(rootfs));
        BundleWriter.write(request, process, rootfs);
        return process;
    }

    /** The users and groups of an image. */
    static UserDatabase users(PreparedRootfs rootfs) {
        try (ErofsReader files = rootfs.open()) {
            return new UserDatabase(
                    files.readFile("/etc/passwd", DATABASE_BYTES), files.readFile("/etc/group", DATABASE_BYTES));
        }
    }
}
