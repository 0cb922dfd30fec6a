package dev.runhv.vmm.store;

import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.StoreLease;
import dev.runhv.vmm.image.ImageImport;
import dev.runhv.vmm.image.ImageLoad;
import dev.runhv.vmm.image.ImagePush;
import dev.runhv.vmm.image.ImageSave;
import dev.runhv.vmm.image.ImageSource;
import dev.runhv.vmm.image.Layer;
import dev.runhv.vmm.image.Platform;
import dev.runhv.vmm.image.PullPolicy;
import dev.runhv.vmm.image.PullProgress;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.rootfs.RootfsStore;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * On the thread of whoever asks, in this JVM's heap.
 *
 * @param store made when it is needed
 */
public record LocalImageService(Path store) implements ImageService {
    @Override
    public Pulled pull(Reference name, Platform platform, PullProgress progress, RootfsProgress making)
            throws InterruptedException {
        return bringing(() -> pullNow(name, platform, progress, making));
    }

    private <T> T bringing(ImageStore.Bringing<T> work) throws InterruptedException {
        return new ImageStore(store).bringOrLeaveNothing(work);
    }

    private Pulled pullNow(Reference name, Platform platform, PullProgress progress, RootfsProgress making)
            throws InterruptedException {
        try (StoreLease _ = StoreLease.take(store);
                ImageSource source = ImageSource.pull(name, store, PullPolicy.ALWAYS, platform, progress)) {
            List<Layer> layers = source.layers();
            Pulled pulled = new Pulled(
                    source.registryDigest().orElseThrow(),
                    layers.size(),
                    layers.stream().mapToLong(Layer::storedBytes).sum());
            progress.resolved(pulled.digest(), pulled.layers(), pulled.bytes());
            if (platform.runsHere()) {
                new RootfsStore(store).prepare(source, making.warnings());
            } else {
                source.keep();
            }
            return pulled;
        }
    }

    @Override
    public Pushed push(Reference name, Optional<Platform> platform, PullProgress progress, RootfsProgress warned)
            throws InterruptedException {
        ImagePush.Pushed pushed = ImagePush.push(name, platform, store, progress);
        if (!pushed.whole() && platform.isEmpty()) {
            warned.warn("the store has not all that the index of " + name
                    + " lists: only the image for linux/amd64 is pushed");
        }
        return new Pushed(pushed.digest(), pushed.layers(), pushed.bytes());
    }

    @Override
    public List<Reference> load(Path archive, Optional<Reference> given, PullProgress progress)
            throws InterruptedException {
        return bringing(() -> ImageLoad.load(archive, store, given, progress));
    }

    @Override
    public void save(List<Reference> names, Optional<Platform> platform, Path archive) throws InterruptedException {
        ImageSave.save(names, platform, store, archive);
    }

    @Override
    public Digest importTar(Path tar, Reference name, List<String> changes, String comment)
            throws InterruptedException {
        return bringing(() -> ImageImport.put(tar, name, changes, comment, store));
    }
}
