package dev.runhv.vmm.image;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.SideBySide;
import dev.runhv.vmm.content.StoreLease;
import dev.runhv.vmm.registry.BlobStore;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.registry.RegistryUpload;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Pushes a named image of the store to its registry: the blobs a few at a time, then what names them. */
public final class ImagePush {
    private final String operation;
    private final SentImage image;
    private final BlobStore store;
    private final OciReader reader;
    private final RegistryUpload upload;
    private final Map<Digest, String> sources;

    private ImagePush(
            String operation, SentImage image, Path root, RegistryUpload upload, Map<Digest, String> sources) {
        this.operation = operation;
        this.image = image;
        this.store = new BlobStore(root);
        this.reader = new OciReader(operation, new ImageFiles.Directory(root));
        this.upload = upload;
        this.sources = sources;
    }

    /**
     * @param digest of the manifest or the index that the name means in the registry now
     * @param layers how many there are of one image
     * @param bytes of these layers as they are stored
     * @param whole false where the store has only a part of the index that the name means here
     */
    public record Pushed(Digest digest, int layers, long bytes, boolean whole) {}

    /**
     * @param platform that alone is wanted; empty: of an index all where all is there, else linux/amd64
     * @param progress is told of each layer
     * @throws RunhvException where the store does not have it, or the registry does not take it
     * @throws InterruptedException while it is pushed; what the registry has taken stays there, without a name
     */
    public static Pushed push(Reference name, Optional<Platform> platform, Path store, PullProgress progress)
            throws InterruptedException {
        String operation = "push image " + name;
        try (StoreLease _ = StoreLease.take(store)) {
            SentImage image = SentImage.find(operation, store, name, platform);
            Map<Digest, String> sources = sources(store, image);
            try (RegistryUpload upload = new RegistryUpload(name, new HashSet<>(sources.values()))) {
                new ImagePush(operation, image, store.resolve("registry"), upload, sources).send(progress);
            }
            List<Descriptor> layers = image.manifest().layers();
            return new Pushed(
                    image.top().digest(),
                    layers.size(),
                    layers.stream().mapToLong(Descriptor::size).sum(),
                    image.whole());
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of(operation, e);
        }
    }

    /** A repository of the same registry for each blob of which the store knows that it has it, too. */
    private static Map<Digest, String> sources(Path store, SentImage image) throws IOException {
        Map<Digest, String> known = new HashMap<>();
        for (NamedImages.Named other : new NamedImages(store).list().images()) {
            Reference name = other.name();
            if (name.registry().equals(image.name().registry())
                    && !name.repository().equals(image.name().repository())) {
                for (Descriptor blob : StoredImage.reached(store, other.target())) {
                    known.putIfAbsent(blob.digest(), name.repository());
                }
            }
        }
        known.keySet()
                .retainAll(image.blobs().stream()
                        .filter(blob -> !isManifest(blob))
                        .map(Descriptor::digest)
                        .toList());
        return known;
    }

    private static boolean isManifest(Descriptor blob) {
        return blob.type() == MediaType.MANIFEST || blob.type() == MediaType.INDEX;
    }

    private void send(PullProgress progress) throws IOException, InterruptedException {
        List<Descriptor> blobs =
                image.blobs().stream().filter(blob -> !isManifest(blob)).toList();
        SideBySide.run(blobs.size(), index -> send(blobs.get(index), progress));
        for (Descriptor blob : image.blobs()) {
            if (isManifest(blob)) {
                byte[] text = reader.blob("manifest", blob, ImageLimits.MANIFEST_BYTES);
                upload.manifest(blob.mediaType(), text, blob.equals(image.top()));
            }
        }
    }

    private void send(Descriptor blob, PullProgress progress) throws InterruptedException {
        PullProgress told = blob.type() == MediaType.LAYER ? progress : PullProgress.NONE;
        try {
            upload.blob(
                    store,
                    blob.digest(),
                    blob.size(),
                    Optional.ofNullable(sources.get(blob.digest())),
                    bytes -> told.fetched(blob.digest(), bytes, blob.size()));
            told.ready(blob.digest(), blob.size());
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of(operation, e);
        }
    }
}
