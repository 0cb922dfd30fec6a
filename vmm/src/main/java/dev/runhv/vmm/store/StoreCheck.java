package dev.runhv.vmm.store;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.HeldFiles;
import dev.runhv.vmm.content.StoreLease;
import dev.runhv.vmm.image.Descriptor;
import dev.runhv.vmm.image.ImageConfig;
import dev.runhv.vmm.image.NamedImages;
import dev.runhv.vmm.image.StoredImage;
import dev.runhv.vmm.registry.BlobStore;
import dev.runhv.vmm.rootfs.RootfsStore;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/**
 * Reads all of a store: names, blobs against their digests, layers against their checksums, trees of named images against
 * what their layers give. Of a tree without a name nobody knows the layers: it is not read.
 */
public final class StoreCheck {
    private static final String WRITTEN_OTHERWISE = "it is not as it was written, or by another version";

    private final Path store;
    private final ImageStore images;
    private final NamedImages names;
    private final BlobStore blobs;
    private final RootfsStore rootfs;
    private final List<Damage> damages = new ArrayList<>();
    private int checked;

    public StoreCheck(Path store) {
        this.store = store;
        this.images = new ImageStore(store);
        this.names = new NamedImages(store);
        this.blobs = new BlobStore(store.resolve("registry"));
        this.rootfs = new RootfsStore(store);
    }

    /**
     * @param what in the store, and what is wrong with it
     * @param files that are of no use: without them it is made or fetched again; empty where it is missing
     */
    public record Damage(String what, List<Path> files) {}

    /** @param checked how many names, blobs, layers and trees were read */
    public record Result(int checked, List<Damage> damages) {}

    /**
     * @param repair whether to remove what is damaged, so that the next pull or start has it anew
     * @throws InterruptedException when the thread is interrupted; what was removed is damaged
     */
    public Result verify(boolean repair) throws InterruptedException {
        try (StoreLease _ = repair ? StoreLease.takeAlone(store) : StoreLease.take(store)) {
            check();
            for (Damage damage : repair ? damages : List.<Damage>of()) {
                for (Path file : damage.files) {
                    HeldFiles.deleteIfExists(file);
                }
            }
            return new Result(checked, List.copyOf(damages));
        } catch (IOException e) {
            throw Failures.of("verify the store " + store, e);
        }
    }

    private void check() throws IOException, InterruptedException {
        for (Path unknown : names.list().unknown()) {
            damaged(unknown, "it says no name", unknown);
        }
        for (Path blob : ImageStore.filesBelow(blobs.blobs())) {
            checkBlob(blob);
        }
        Set<Digest> whole = checkLayers();
        Map<Path, ImageConfig> trees = new LinkedHashMap<>();
        for (Image image : images.list().images()) {
            checked++;
            for (Descriptor blob : needed(image)) {
                if (!Files.exists(blobs.path(blob.digest()))) {
                    damages.add(new Damage("%s: %s is missing".formatted(image.name(), blob.digest()), List.of()));
                }
            }
            image.content().map(StoredImage::config).ifPresent(config -> trees.put(rootfs.tree(config), config));
        }
        for (Map.Entry<Path, ImageConfig> tree : trees.entrySet()) {
            stopIfInterrupted();
            if (Files.exists(tree.getKey()) && whole.containsAll(tree.getValue().diffIds())) {
                checked++;
                if (!rootfs.verifyTree(tree.getValue())) {
                    damaged(tree.getKey(), "it is not what its layers give", tree.getKey());
                }
            }
        }
    }

    /** The target, and what runs here. */
    private static List<Descriptor> needed(Image image) {
        List<Descriptor> needed = new ArrayList<>(List.of(image.target()));
        image.content().ifPresent(content -> {
            needed.add(content.manifest());
            needed.add(content.configDescriptor());
            needed.addAll(content.layers());
        });
        return needed;
    }

    private void checkBlob(Path blob) throws IOException, InterruptedException {
        stopIfInterrupted();
        checked++;
        String name = blob.getParent().getFileName() + ":" + blob.getFileName();
        try {
            Digest expected = Digest.parse(name);
            MessageDigest running = expected.algorithm().newMessageDigest();
            byte[] buffer = new byte[1 << 20];
            try (InputStream in = Files.newInputStream(blob)) {
                for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
                    running.update(buffer, 0, count);
                }
            }
            Digest actual = Digest.of(expected.algorithm(), running);
            if (!actual.equals(expected)) {
                damaged(blob, "its content has " + actual, blob);
            }
        } catch (CorruptInputException e) {
            damaged(blob, "its name is no digest", blob);
        }
    }

    /** @return those that are whole */
    private Set<Digest> checkLayers() throws IOException, InterruptedException {
        Set<Digest> whole = new HashSet<>();
        try (Stream<Path> files =
                Files.exists(rootfs.layersFolder()) ? Files.list(rootfs.layersFolder()) : Stream.empty()) {
            // Data alone is of a layer that is not there yet, or not any more.
            for (Path entries :
                    files.filter(file -> file.toString().endsWith(".entries")).toList()) {
                stopIfInterrupted();
                checked++;
                String name = entries.getFileName().toString();
                name = name.substring(0, name.lastIndexOf('.'));
                Digest diffId = Digest.parse(name.replaceFirst("-", ":"));
                if (rootfs.verifyLayer(diffId)) {
                    whole.add(diffId);
                } else {
                    damaged(entries.resolveSibling(name), WRITTEN_OTHERWISE, entries, rootfs.data(diffId));
                }
            }
        }
        return whole;
    }

    private void damaged(Path what, String why, Path... files) {
        damages.add(new Damage("%s: %s".formatted(store.relativize(what), why), List.of(files)));
    }

    private static void stopIfInterrupted() throws InterruptedException {
        if (Thread.interrupted()) {
            throw new InterruptedException();
        }
    }
}
