package dev.runhv.vmm.runtime;

import dev.runhv.api.ContainerEvent;
import dev.runhv.api.Image;
import dev.runhv.api.ImageDetails;
import dev.runhv.api.ImageEvent;
import dev.runhv.api.Images;
import dev.runhv.api.PreparedImage;
import dev.runhv.api.PullSpec;
import dev.runhv.api.RemovedImages;
import dev.runhv.api.TreeEntry;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.StoreLease;
import dev.runhv.vmm.image.ImageImport;
import dev.runhv.vmm.image.PacedProgress;
import dev.runhv.vmm.image.Platform;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.rootfs.HostTree;
import dev.runhv.vmm.rootfs.PreparedRootfs;
import dev.runhv.vmm.rootfs.TreeImage;
import dev.runhv.vmm.store.ImageService;
import dev.runhv.vmm.store.ImageStore;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/** The images of a store. */
final class LocalImages implements Images {
    private final LocalRunhv runhv;
    private final Path store;
    private final ImageStore images;
    private final ImageService service;

    /**
     * @param runhv ends what is being done here when it is closed
     * @param service does what takes long
     */
    LocalImages(LocalRunhv runhv, Path store, ImageService service) {
        this.runhv = runhv;
        this.store = store;
        this.images = new ImageStore(store);
        this.service = service;
    }

    private interface Work {
        void run() throws InterruptedException;
    }

    private void making(String operation, Work work) throws InterruptedException {
        runhv.making(operation, () -> {
            work.run();
            return operation;
        });
    }

    private record Prepared(String reference, String rootfsKey) implements PreparedImage {}

    private record Named(String name, String id, String digest) implements Image {}

    private record Removed(List<String> names, List<String> content, long freedBytes, boolean isContentLeft)
            implements RemovedImages {}

    @Override
    public PreparedImage prepare(String reference, Consumer<? super ContainerEvent.ImageProgress> listener)
            throws InterruptedException {
        return runhv.making("prepare image " + reference, () -> {
            PreparedRootfs rootfs = images.bringOrLeaveNothing(() -> {
                try (StoreLease _ = StoreLease.take(store)) {
                    return BundlePreparation.rootfs(
                            reference,
                            store,
                            (layer, layers, bytes, total) ->
                                    listener.accept(new ContainerEvent.ImageProgress(layer, layers, bytes, total)));
                }
            });
            return new Prepared(reference, rootfs.key());
        });
    }

    @Override
    public Image pull(PullSpec spec, Consumer<? super ImageEvent> listener) throws InterruptedException {
        Reference name = Reference.parse(spec.name());
        Platform platform = spec.platform().map(Platform::parse).orElse(Platform.HERE);
        String operation = "pull image " + name;
        return runhv.making(operation, () -> {
            ImageEvents events = new ImageEvents(operation, listener);
            service.pull(name, platform, new PacedProgress(events), events);
            return named(images.find(name.toString()).getFirst());
        });
    }

    @Override
    public String push(String nameOrId, Consumer<? super ImageEvent> listener) throws InterruptedException {
        String operation = "push image " + nameOrId;
        return runhv.making(operation, () -> {
            Reference name = images.onlyName(operation, nameOrId);
            SentEvents events = new SentEvents(operation, listener);
            return service.push(name, Optional.empty(), new PacedProgress(events), events)
                    .digest()
                    .toString();
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
    public InputStream openFile(String nameOrId, String path) throws InterruptedException {
        String operation = "read %s in image %s".formatted(path, nameOrId);
        if (!path.startsWith("/")) {
            throw Failures.invalid(operation, "The path is not absolute: it begins with /");
        }
        return runhv.making(operation, () -> images.openFile(nameOrId, path));
    }

    @Override
    public InputStream openBlob(String digest) {
        String operation = "read blob " + digest;
        runhv.checkOpen(operation);
        Digest parsed;
        try {
            parsed = Digest.parse(digest);
        } catch (CorruptInputException e) {
            throw Failures.invalid(operation, e.getMessage());
        }
        return images.openBlob(parsed);
    }

    @Override
    public List<String> load(Path archive, Consumer<? super ImageEvent> listener) throws InterruptedException {
        return load(archive, Optional.empty(), listener);
    }

    @Override
    public List<String> load(Path archive, String name, Consumer<? super ImageEvent> listener)
            throws InterruptedException {
        return load(archive, Optional.of(Reference.parse(name)), listener);
    }

    private List<String> load(Path archive, Optional<Reference> name, Consumer<? super ImageEvent> listener)
            throws InterruptedException {
        String operation = "load " + archive;
        return runhv.making(
                operation,
                () -> service.load(archive, name, new PacedProgress(new ImageEvents(operation, listener))).stream()
                        .map(Reference::toString)
                        .toList());
    }

    @Override
    public void save(List<String> names, Path archive) throws InterruptedException {
        List<Reference> saved = names.stream().map(Reference::parse).toList();
        making("save " + archive, () -> service.save(saved, Optional.empty(), archive));
    }

    @Override
    public String importTar(Path tar, String name, List<String> changes) throws InterruptedException {
        Reference added = Reference.parse(name);
        return runhv.making(
                "import " + tar,
                () -> service.importTar(tar, added, changes, ImageImport.USUAL_COMMENT)
                        .toString());
    }

    @Override
    public void writeErofs(List<TreeEntry> entries, Path image) throws InterruptedException {
        making("write file system " + image, () -> TreeImage.write(image, entries));
    }

    @Override
    public void writeErofs(Path directory, Path image) throws InterruptedException {
        making("write file system " + image, () -> TreeImage.write(image, HostTree.entries(directory)));
    }

    @Override
    public void tag(String nameOrId, String name) throws InterruptedException {
        Reference added = Reference.parse(name);
        making("name image " + added, () -> images.tag(nameOrId, added));
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
