package dev.runhv.vmm.image;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.registry.Reference;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
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
        OciReader reader = new OciReader("read image " + name, new Named(store, name, target));
        OciReader.Resolved found = reader.resolve("");
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
        if (!reached.add(blob) || files.size(OciReader.path(blob.digest())) != blob.size()) {
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
                            : ImageIndex.parse(text(files, blob)).manifests();
                case MANIFEST -> {
                    Manifest manifest = Manifest.parse(text(files, blob));
                    List<Descriptor> children = new ArrayList<>(manifest.layers());
                    children.add(manifest.config());
                    yield children;
                }
                case CONFIG, LAYER, SCHEMA1, UNKNOWN -> List.of();
            };
        } catch (CorruptInputException e) {
            return List.of();
        }
    }

    private static byte[] text(ImageFiles files, Descriptor blob) throws IOException {
        return files.read(OciReader.path(blob.digest()), ImageLimits.MANIFEST_BYTES);
    }

    /** The layout that has this one image. */
    private record Named(ImageFiles stored, byte[] index) implements ImageFiles {
        Named(Path store, Reference name, Descriptor target) throws IOException {
            this(new Directory(store.resolve("registry")), NamedImages.index(name, target));
        }

        @Override
        public long size(String file) throws IOException {
            return file.equals("index.json") ? index.length : stored.size(file);
        }

        @Override
        public InputStream open(String file) throws IOException {
            return file.equals("index.json") ? new ByteArrayInputStream(index) : stored.open(file);
        }

        @Override
        public void close() {}
    }
}
