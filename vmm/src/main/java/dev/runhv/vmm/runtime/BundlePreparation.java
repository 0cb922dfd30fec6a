package dev.runhv.vmm.runtime;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.image.ImageReference;
import dev.runhv.vmm.rootfs.ErofsReader;
import dev.runhv.vmm.rootfs.PreparedRootfs;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.rootfs.RootfsStore;

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
        ImageReference reference = ImageReference.parse(request.image());
        BundleWriter.checkAbsent(request);
        PreparedRootfs rootfs = new RootfsStore(request.store()).prepare(reference, progress);
        if (!rootfs.config().saysPlatform()) {
            progress.warn("the image does not say what it was built for; it is taken for linux/amd64");
        }
        BundleWriter.write(request, ProcessPlan.of(request, rootfs.config(), users(rootfs)), rootfs.image());
    }

    private static UserDatabase users(PreparedRootfs rootfs) {
        try (ErofsReader files = rootfs.open()) {
            return new UserDatabase(
                    files.readFile("/etc/passwd", DATABASE_BYTES), files.readFile("/etc/group", DATABASE_BYTES));
        }
    }
}
