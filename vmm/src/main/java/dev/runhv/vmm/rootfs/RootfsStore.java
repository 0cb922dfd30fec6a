package dev.runhv.vmm.rootfs;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.SideBySide;
import dev.runhv.vmm.content.StoreLock;
import dev.runhv.vmm.content.TemporaryFile;
import dev.runhv.vmm.image.ImageConfig;
import dev.runhv.vmm.image.ImageReference;
import dev.runhv.vmm.image.ImageSource;
import dev.runhv.vmm.image.Layer;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.concurrent.Semaphore;
import java.util.function.LongConsumer;

/**
 * The root file systems that were made so far. The layers are in {@link StoredLayers}, once for all images; a list of them,
 * with volumes, has one more file: {@code rootfs/<sha256 of the diff_ids and volumes>.erofs}, the tree that they make. A file
 * appears there complete or not at all, whatever happens meanwhile. Any number of threads and processes may use one store.
 */
public final class RootfsStore {
    /** Changes when the images that are made change, so that old ones are not taken for new ones. */
    private static final String FORMAT = "runhv-erofs-2";

    private static final int COMPARED = 1 << 20;

    /** Trees that are made in this JVM at one time: they share its heap. */
    static final int AT_ONCE = 4;

    static final Semaphore MAKING = new Semaphore(AT_ONCE, true);

    private final Path store;
    private final Path folder;
    private final StoredLayers layers;
    private final KnownArchives archives;

    /** @param store the folder above {@code rootfs}; made when it is needed */
    public RootfsStore(Path store) {
        this(store, InstantSource.system());
    }

    RootfsStore(Path store, InstantSource clock) {
        this.store = store;
        this.folder = store.resolve("rootfs");
        this.layers = new StoredLayers(store);
        this.archives = new KnownArchives(store, clock);
    }

    /**
     * Makes the root file system of an image, or finds that it was made before: then a compressed archive is not even read.
     * Of several that want one image, one makes it and the others wait; where it fails or dies, the next one makes it.
     *
     * @throws RunhvException when the image is damaged or the store cannot be written
     * @throws InterruptedException when the thread is interrupted; what was begun is gone, but for what came from a registry
     */
    public PreparedRootfs prepare(ImageReference reference, RootfsProgress progress) throws InterruptedException {
        return switch (reference) {
            case ImageReference.OciLayout layout -> readAndPrepare(layout, progress).rootfs;
            case ImageReference.InRegistry name -> readAndPrepare(name, progress).rootfs;
            case ImageReference.OciArchive(Path file, String tag) -> prepareArchive(reference, file, progress);
            case ImageReference.DockerArchive(Path file, String name) -> prepareArchive(reference, file, progress);
        };
    }

    private record Read(PreparedRootfs rootfs, byte[] configText) {}

    private Read readAndPrepare(ImageReference reference, RootfsProgress progress) throws InterruptedException {
        try (ImageSource source = ImageSource.open(reference, store)) {
            return new Read(prepare(source, progress), source.configText());
        }
    }

    private PreparedRootfs prepareArchive(ImageReference reference, Path file, RootfsProgress progress)
            throws InterruptedException {
        if (!ImageSource.isCompressedArchive(reference)) {
            return readAndPrepare(reference, progress).rootfs;
        }
        ImageSource.requireAdmitted(reference);
        try {
            KnownArchives.Snapshot before = KnownArchives.snapshot(reference, file);
            Optional<PreparedRootfs> known = known(before);
            if (known.isPresent()) {
                return known.get();
            }
            try (StoreLock _ = StoreLock.acquire(store, "archive-" + before.key())) {
                // Whoever had the lock has just read it.
                known = known(before);
                if (known.isPresent()) {
                    return known.get();
                }
                Read read = readAndPrepare(reference, progress);
                archives.remember(before, KnownArchives.snapshot(reference, file), read.configText);
                return read.rootfs;
            }
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of("use the image store " + store, e);
        }
    }

    private Optional<PreparedRootfs> known(KnownArchives.Snapshot archive) throws IOException {
        return archives.find(archive).map(this::rootfs).filter(RootfsStore::isWhole);
    }

    /** As {@link #prepare(ImageReference, RootfsProgress)}, of an image that is open. */
    public PreparedRootfs prepare(ImageSource source, RootfsProgress progress) throws InterruptedException {
        PreparedRootfs rootfs = rootfs(source.config());
        if (!isWhole(rootfs)) {
            makeOnce(source, rootfs, progress);
        }
        source.keep();
        return rootfs(source.config());
    }

    private void makeOnce(ImageSource source, PreparedRootfs wanted, RootfsProgress progress)
            throws InterruptedException {
        try {
            Files.createDirectories(folder);
            dropOldFormat(progress);
            try (StoreLock _ = StoreLock.acquire(store, wanted.key())) {
                // Whoever had the lock may just have made it.
                PreparedRootfs rootfs = rootfs(source.config());
                if (!isWhole(rootfs)) {
                    // Whoever has a layer's lock has begun: nobody who has begun waits for one who has not.
                    MAKING.acquire();
                    try {
                        make(source, rootfs, progress);
                    } finally {
                        MAKING.release();
                    }
                }
            }
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of("use the image store " + folder, e);
        }
    }

    /** Of an image whose layers are all there; of another one it is not whole. */
    private PreparedRootfs rootfs(ImageConfig config) {
        List<Path> parts = new ArrayList<>();
        for (Digest diffId : new LinkedHashSet<>(config.diffIds())) {
            Path data = layers.data(diffId);
            // Many layers change no file's content, and a disk has no part without a block.
            if (data.toFile().length() > 0) {
                parts.add(data);
            }
        }
        return new PreparedRootfs(tree(config), parts, config);
    }

    /** The tree of an image, where it was made. */
    public Path tree(ImageConfig config) {
        return folder.resolve(key(config) + ".erofs");
    }

    /** The entries of a layer, where it was read; beside them is {@link #data}. */
    public Path entries(Digest diffId) {
        return layers.entries(diffId);
    }

    /** The content of a layer's files, where it was read. */
    public Path data(Digest diffId) {
        return layers.data(diffId);
    }

    /** Reads all of a layer that is there: whether it is as it was written. */
    public boolean verifyLayer(Digest diffId) {
        try {
            return layers.verify(diffId);
        } catch (IOException e) {
            throw Failures.of("verify layer " + diffId, e);
        }
    }

    /**
     * Makes the tree of an image once more, and compares: the same layers give the same bytes. REQUIRES: its layers are
     * there, and {@link #verifyLayer} of each.
     */
    public boolean verifyTree(ImageConfig config) {
        String operation = "verify root file system " + tree(config);
        try {
            RootTree made = new RootTree();
            Merging merging = new Merging(config, operation, made);
            for (int i = 0; i < config.diffIds().size(); i++) {
                merging.ready(i, layers.wholeBlocks(config.diffIds().get(i)));
            }
            int dataBlocks = merging.dataBlocks();
            makeVolumes(config, operation, made);
            try (TemporaryFile temporary = TemporaryFile.create(folder, key(config));
                    FileChannel tree = FileChannel.open(tree(config))) {
                new ErofsWriter(new ImageOutput(temporary.channel()))
                        .finishBeforeData(made, uuid(key(config)), dataBlocks);
                return equal(temporary.channel(), tree);
            }
        } catch (IOException e) {
            throw Failures.of(operation, e);
        }
    }

    private static boolean equal(FileChannel one, FileChannel other) throws IOException {
        if (one.size() != other.size()) {
            return false;
        }
        InputStream left = Channels.newInputStream(one.position(0));
        InputStream right = Channels.newInputStream(other);
        byte[] block = left.readNBytes(COMPARED);
        while (block.length > 0 && Arrays.equals(block, right.readNBytes(COMPARED))) {
            block = left.readNBytes(COMPARED);
        }
        return block.length == 0;
    }

    /** Where the trees are, {@link #tree} of each. */
    public Path treesFolder() {
        return folder;
    }

    /** Where the layers are: {@link #entries} and {@link #data} of each. */
    public Path layersFolder() {
        return layers.folder();
    }

    /** Where all files are that this makes. What of them nobody opens and no image needs may go. */
    public List<Path> folders() {
        return List.of(folder, layers.folder(), archives.folder());
    }

    private static boolean isWhole(PreparedRootfs rootfs) {
        if (!Files.exists(rootfs.image())) {
            return false;
        }
        try (ErofsReader reader = rootfs.open()) {
            return reader.isComplete();
        } catch (RunhvException e) {
            if (e.code() == ErrorCode.CORRUPT_INPUT) {
                return false; // damaged on disk: it is made again and replaced
            }
            throw e;
        }
    }

    /** What was here before layers were stored for themselves is of no use, and would never go. */
    private void dropOldFormat(RootfsProgress progress) throws IOException, InterruptedException {
        if (Files.exists(layers.folder())) {
            return;
        }
        try (StoreLock _ = StoreLock.acquire(store, "layers")) {
            if (Files.exists(layers.folder())) {
                return;
            }
            int dropped = 0;
            try (DirectoryStream<Path> old = Files.newDirectoryStream(folder, "*.erofs")) {
                for (Path image : old) {
                    Files.delete(image);
                    dropped++;
                }
            }
            Files.createDirectory(layers.folder());
            if (dropped > 0) {
                progress.warn(
                        "the store had %d root file systems of an older runhv; each is made again when it is wanted"
                                .formatted(dropped));
            }
        }
    }

    private void make(ImageSource source, PreparedRootfs rootfs, RootfsProgress progress)
            throws IOException, InterruptedException {
        RootTree tree = new RootTree();
        String image = ImageSource.operation(source.reference());
        Merging merging = new Merging(source.config(), image, tree);
        readLayers(source, progress, merging);
        int dataBlocks = merging.dataBlocks();
        makeVolumes(source.config(), image, tree);
        TemporaryFile.sweep(folder);
        try (TemporaryFile temporary = TemporaryFile.create(folder, rootfs.key())) {
            ErofsWriter writer = new ErofsWriter(new ImageOutput(temporary.channel()));
            writer.finishBeforeData(tree, uuid(rootfs.key()), dataBlocks);
            moveTo(rootfs(source.config()), temporary);
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of("write root file system " + rootfs.image(), e);
        }
    }

    private void readLayers(ImageSource source, RootfsProgress progress, Merging merging) throws InterruptedException {
        long total = source.layers().stream().mapToLong(Layer::storedBytes).sum();
        try (ProgressTicker ticker =
                new ProgressTicker(progress, source.layers().size(), total)) {
            SideBySide.run(source.layers().size(), i -> {
                merging.ready(i, readLayer(source, i, ticker));
            });
        }
    }

    private int readLayer(ImageSource source, int index, ProgressTicker ticker) throws InterruptedException {
        Layer layer = source.layers().get(index);
        LongConsumer read = ticker.begin();
        try {
            int blocks = layers.require(layer, read);
            layer.keep();
            read.accept(layer.storedBytes()); // also of a layer that was there
            ticker.end();
            return blocks;
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            RunhvException failure = Failures.of("write layer " + layers.data(layer.diffId()), e);
            // Reading fills no disk.
            throw failure.code() == ErrorCode.NO_SPACE
                    ? failure
                    : Failures.of(operation(ImageSource.operation(source.reference()), source.config(), index), e);
        }
    }

    /** The tree of an image's layers, each applied once it and all below are there: while others still come. */
    private final class Merging {
        private final ImageConfig config;
        private final String image;
        private final LayerMerge merge;
        private final Integer[] blocks; // null: not there yet
        private final Map<Digest, Integer> starts = new HashMap<>();
        private int applied;
        private boolean broken; // a layer could not be applied: those above it are not to blame
        private int dataBlocks;

        Merging(ImageConfig config, String image, RootTree tree) {
            this.config = config;
            this.image = image;
            this.merge = new LayerMerge(tree);
            this.blocks = new Integer[config.diffIds().size()];
        }

        /** @param count how many blocks of data the layer has */
        synchronized void ready(int layer, int count) {
            blocks[layer] = count;
            while (!broken && applied < blocks.length && blocks[applied] != null) {
                broken = true;
                apply(applied++);
                broken = false;
            }
        }

        private void apply(int layer) {
            Digest diffId = config.diffIds().get(layer);
            Integer start = starts.putIfAbsent(diffId, dataBlocks);
            try {
                merge.apply(layers.entries(diffId), start == null ? dataBlocks : start, blocks[layer]);
            } catch (IOException e) {
                throw Failures.of(operation(image, config, layer), e);
            }
            dataBlocks += start == null ? blocks[layer] : 0;
        }

        /** Of all layers, each once. REQUIRES: all are ready. */
        synchronized int dataBlocks() {
            return dataBlocks;
        }
    }

    private static String operation(String image, ImageConfig config, int layer) {
        return "%s, layer %d of %d".formatted(image, layer + 1, config.diffIds().size());
    }

    /** Docker makes a folder for each volume that no layer has. */
    private static void makeVolumes(ImageConfig config, String image, RootTree tree) {
        for (String volume : config.volumes()) {
            try {
                tree.makeDirectory(new String(volume.getBytes(StandardCharsets.UTF_8), StandardCharsets.ISO_8859_1));
            } catch (CorruptInputException e) {
                throw Failures.corrupt(image + ", volume " + volume, e.getMessage());
            }
        }
    }

    private static void moveTo(PreparedRootfs rootfs, TemporaryFile temporary) throws IOException {
        try {
            temporary.moveToCache(rootfs.image());
        } catch (FileSystemException e) {
            // Windows replaces no file that a micro-VM has open. Where it is whole it is as good.
            if (!isWhole(rootfs)) {
                throw e;
            }
        }
    }

    private static String key(ImageConfig config) {
        StringBuilder text = new StringBuilder(FORMAT);
        for (Digest diffId : config.diffIds()) {
            text.append('\n').append(diffId);
        }
        for (String volume : new TreeSet<>(config.volumes())) {
            text.append("\nvolume ").append(volume.replace("\n", "\n\n"));
        }
        return Digest.sha256(text.toString().getBytes(StandardCharsets.UTF_8)).hex();
    }

    /** Follows from the content, so that the same image gives the same bytes (RFC 9562 §5.8, version 8). */
    private static byte[] uuid(String key) {
        byte[] uuid = Arrays.copyOf(HexFormat.of().parseHex(key), 16);
        uuid[6] = (byte) (uuid[6] & 0x0f | 0x80);
        uuid[8] = (byte) (uuid[8] & 0x3f | 0x80);
        return uuid;
    }
}
