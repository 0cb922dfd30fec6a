package dev.runhv.vmm.runtime;

import dev.runhv.api.ImageDetails;
import dev.runhv.api.ImageLayer;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.image.Descriptor;
import dev.runhv.vmm.image.ImageConfig;
import dev.runhv.vmm.image.Platform;
import dev.runhv.vmm.image.StoredImage;
import dev.runhv.vmm.store.Image;
import dev.runhv.vmm.store.ImageStore;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/** An image as the store had it when it was asked for. */
final class LocalImageDetails implements ImageDetails {
    private final StoredImage image;
    private final List<String> names;
    private final List<ImageLayer> layers;
    private final long bytes;

    private LocalImageDetails(StoredImage image, List<String> names, List<ImageLayer> layers, long bytes) {
        this.image = image;
        this.names = names;
        this.layers = layers;
        this.bytes = bytes;
    }

    /** @param nameOrId as {@link ImageStore.Listing#find} takes it */
    static ImageDetails of(ImageStore store, String nameOrId) {
        ImageStore.Listing listing = store.list();
        Image found = listing.find(nameOrId).getFirst();
        StoredImage image = found.readable();
        List<ImageLayer> layers = new ArrayList<>();
        for (int index = 0; index < image.layers().size(); index++) {
            layers.add(layer(store, image, index));
        }
        return new LocalImageDetails(
                image,
                listing.find(found.id().toString()).stream()
                        .map(named -> named.name().toString())
                        .toList(),
                List.copyOf(layers),
                store.size(found));
    }

    private record Layer(String digest, String mediaType, long bytes, String diffId, OptionalLong contentBytes)
            implements ImageLayer {}

    private static ImageLayer layer(ImageStore store, StoredImage image, int index) {
        Descriptor stored = image.layers().get(index);
        Digest diffId = image.config().diffIds().get(index);
        OptionalLong content = store.layerSize(diffId).map(OptionalLong::of).orElseGet(OptionalLong::empty);
        return new Layer(stored.digest().toString(), stored.mediaType(), stored.size(), diffId.toString(), content);
    }

    @Override
    public String id() {
        return image.id().toString();
    }

    @Override
    public List<String> names() {
        return names;
    }

    @Override
    public String platform() {
        return new Platform(config().os(), config().architecture(), "").toString();
    }

    @Override
    public Optional<Instant> created() {
        return ImageConfig.instant(config().created());
    }

    @Override
    public List<String> entrypoint() {
        return config().entrypoint();
    }

    @Override
    public List<String> command() {
        return config().cmd();
    }

    @Override
    public List<String> environment() {
        return config().env();
    }

    @Override
    public Optional<String> user() {
        return said(config().user());
    }

    @Override
    public Optional<String> workingDirectory() {
        return said(config().workingDir());
    }

    @Override
    public Optional<String> stopSignal() {
        return said(config().stopSignal());
    }

    @Override
    public List<String> exposedPorts() {
        return config().exposedPorts();
    }

    @Override
    public List<String> volumes() {
        return config().volumes();
    }

    @Override
    public Map<String, String> labels() {
        return config().labels();
    }

    @Override
    public List<ImageLayer> layers() {
        return layers;
    }

    @Override
    public long bytes() {
        return bytes;
    }

    @Override
    public String configuration() {
        return new String(image.configText(), StandardCharsets.UTF_8);
    }

    private ImageConfig config() {
        return image.config();
    }

    private static Optional<String> said(String text) {
        return text.isEmpty() ? Optional.empty() : Optional.of(text);
    }
}
