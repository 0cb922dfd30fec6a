package dev.runhv.vmm.runtime;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.image.ImageReference;
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
     * @throws RunhvException with what was attempted and why it did not work
     * @throws InterruptedException when the thread is interrupted; what was begun is gone
     */
    public static void prepare(BundleRequest request, RootfsProgress progress) throws InterruptedException {
        BundleWriter.checkAbsent(request);
        bundle(request, rootfs(request.image(), request.store(), progress));
    }

    /**
     * Makes the root file system of an image, unless the store has it.
     *
     * @throws RunhvException with what was attempted and why it did not work
     * @throws InterruptedException when the thread is interrupted; what was begun is gone
     */
    static PreparedRootfs rootfs(String image, Path store, RootfsProgress progress) throws InterruptedException {
        PreparedRootfs rootfs = new RootfsStore(store).prepare(ImageReference.parse(image), progress);
        if (!rootfs.config().saysPlatform()) {
            progress.warn("the image does not say what it was built for; it is taken for linux/amd64");
        }
        return rootfs;
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
