package dev.runhv.vmm.image;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.registry.Reference;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * A named image as the store has it, without its layers' bytes.
 *
 * @param target what the name means: {@code manifest}, or an index that lists it
 * @param manifest of linux/amd64
 * @param configDescriptor its digest is the image's ID
 * @param layers lowest first
 * @param configText as it is stored, not to be changed: {@code config} is {@link ImageConfig#parse} of it
 */
public record StoredImage(
        Descriptor target,
        Descriptor manifest,
        Descriptor configDescriptor,
        List<Descriptor> layers,
        ImageConfig config,
        byte[] configText) {

    /**
     * Reads it; nothing is fetched.
     *
     * @throws RunhvException where a part of it is missing or damaged, or it is for another platform only
     */
    public static StoredImage read(Path store, Reference name, Descriptor target) throws IOException {
        return resolved(store, operation(name), target, Platform.HERE);
    }

    /**
     * That of its images which is for a platform; nothing is fetched.
     *
     * @throws RunhvException where it has none that the store has, or a part of that is damaged
     */
    public static StoredImage read(Path store, Reference name, Descriptor target, Platform platform)
            throws IOException {
        StoredImage image = resolved(store, operation(name), target, platform);
        ImageContents.requireFit(operation(name), platform, image.config, image.layers.size());
        return image;
    }

    private static String operation(Reference name) {
        return "read image " + name;
    }

    private static StoredImage resolved(Path store, String operation, Descriptor target, Platform platform)
            throws IOException {
        ImageFiles stored = new ImageFiles.Directory(store.resolve("registry"));
        OciReader reader = new OciReader(operation, stored, platform, Documents.READ);
        OciReader.Resolved found = reader.resolve(List.of(target));
        return new StoredImage(
                target,
                found.manifest(),
                found.image().config(),
                found.image().layers(),
                found.config(),
                found.configText());
    }

    /** Its ID, in docker's words. */
    public Digest id() {
        return configDescriptor.digest();
    }

    /**
     * The blobs that a name needs: what it means and all that this lists, of every platform, as far as it can be read.
     *
     * @param store whose blobs are looked into
     */
    public static Set<Descriptor> reached(Path store, Descriptor target) throws IOException {
        Set<Descriptor> reached = new HashSet<>();
        reach(new ImageFiles.Directory(store.resolve("registry")), target, 0, reached);
        return reached;
    }

    private static void reach(ImageFiles files, Descriptor blob, int depth, Set<Descriptor> reached)
            throws IOException {
        if (!reached.add(blob)) {
            return;
        }
        for (Descriptor child : children(files, blob, depth)) {
            reach(files, child, depth + 1, reached);
        }
    }

    private static List<Descriptor> children(ImageFiles files, Descriptor blob, int depth) throws IOException {
        try {
            return switch (blob.type()) {
                case INDEX ->
                    depth > ImageLimits.INDEX_DEPTH
                            ? List.of()
                            : document(files, blob, ImageIndex.class, ImageIndex::parse)
                                    .map(ImageIndex::manifests)
                                    .orElse(List.of());
                case MANIFEST ->
                    document(files, blob, Manifest.class, Manifest::parse)
                            .map(StoredImage::parts)
                            .orElse(List.of());
                case CONFIG, LAYER, FOREIGN_LAYER, SCHEMA1, UNKNOWN -> List.of();
            };
        } catch (CorruptInputException e) {
            return List.of();
        }
    }

    private static List<Descriptor> parts(Manifest manifest) {
        List<Descriptor> parts = new ArrayList<>(manifest.layers());
        parts.add(manifest.config());
        return parts;
    }

    /** Empty where its file is not there as a whole; as far as that can be read, it is not verified here. */
    private static <T> Optional<T> document(
            ImageFiles files, Descriptor blob, Class<T> type, Documents.Parser<T> parser) throws IOException {
        String file = OciReader.path(blob.digest());
        if (files.size(file) != blob.size()) {
            return Optional.empty();
        }
        Optional<T> known = Documents.READ.find(type, blob);
        return known.isPresent() ? known : Optional.of(parser.parse(files.read(file, ImageLimits.MANIFEST_BYTES)));
    }
}
