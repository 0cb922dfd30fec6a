package dev.runhv.vmm.runtime;

import dev.runhv.api.ContainerEvent;
import dev.runhv.api.Image;
import dev.runhv.api.ImageDetails;
import dev.runhv.api.ImageEvent;
import dev.runhv.api.Images;
import dev.runhv.api.PreparedImage;
import dev.runhv.api.PullSpec;
import dev.runhv.api.RemovedImages;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.StoreLease;
import dev.runhv.vmm.image.Platform;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.rootfs.PreparedRootfs;
import dev.runhv.vmm.store.ImageStore;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;

/** The images of a store, on the threads of whoever asks. */
final class LocalImages implements Images {
    private final LocalRunhv runhv;
    private final Path store;
    private final ImageStore images;

    /** @param runhv ends what is being done here when it is closed */
    LocalImages(LocalRunhv runhv, Path store) {
        this.runhv = runhv;
        this.store = store;
        this.images = new ImageStore(store);
    }

    private record Prepared(String reference, String rootfsKey) implements PreparedImage {}

    private record Named(String name, String id, String digest) implements Image {}

    private record Removed(List<String> names, List<String> content, long freedBytes, boolean isContentLeft)
            implements RemovedImages {}

    @Override
    public PreparedImage prepare(String reference, Consumer<? super ContainerEvent.ImageProgress> listener)
            throws InterruptedException {
        return runhv.making("prepare image " + reference, () -> {
            try (StoreLease _ = StoreLease.take(store)) {
                PreparedRootfs rootfs = BundlePreparation.rootfs(
                        reference,
                        store,
                        (layer, layers, bytes, total) ->
                                listener.accept(new ContainerEvent.ImageProgress(layer, layers, bytes, total)));
                return new Prepared(reference, rootfs.key());
            }
        });
    }

    @Override
    public Image pull(PullSpec spec, Consumer<? super ImageEvent> listener) throws InterruptedException {
        Reference name = Reference.parse(spec.name());
        Platform platform = spec.platform().map(Platform::parse).orElse(Platform.HERE);
        String operation = "pull image " + name;
        return runhv.making(operation, () -> {
            ImageEvents events = new ImageEvents(operation, listener);
            images.pull(name, platform, events, events);
            return named(images.find(name.toString()).getFirst());
        });
    }

    private static Image named(dev.runhv.vmm.store.Image image) {
        return new Named(
                image.name().toString(),
                image.id().toString(),
                image.target().digest().toString());
    }

    @Override
    public List<Image> list() {
        runhv.checkOpen("list images");
        return images.list().images().stream().map(LocalImages::named).toList();
    }

    @Override
    public String resolve(String nameOrId) {
        runhv.checkOpen("find image " + nameOrId);
        return images.find(nameOrId).getFirst().id().toString();
    }

    @Override
    public ImageDetails inspect(String nameOrId) {
        runhv.checkOpen("inspect image " + nameOrId);
        return LocalImageDetails.of(images, nameOrId);
    }

    @Override
    public void tag(String nameOrId, String name) throws InterruptedException {
        Reference added = Reference.parse(name);
        runhv.making("name image " + added, () -> {
            images.tag(nameOrId, added);
            return added;
        });
    }

    @Override
    public RemovedImages delete(String nameOrId) {
        runhv.checkOpen("remove image " + nameOrId);
        ImageStore.Removed removed = images.remove(List.of(nameOrId), false);
        return new Removed(
                removed.untagged().stream().map(Reference::toString).toList(),
                removed.deleted().stream().map(Digest::toString).toList(),
                removed.bytes(),
                removed.left());
    }
}
