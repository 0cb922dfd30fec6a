package dev.runhv.vmm.rootfs;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.StoreLock;
import dev.runhv.vmm.image.ImageConfig;
import dev.runhv.vmm.image.ImageReference;
import dev.runhv.vmm.image.ImageSource;
import dev.runhv.vmm.image.Layer;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.TreeSet;

/**
 * The root file systems that were made so far, in one folder: {@code rootfs/<sha256 of the diff_ids and volumes>.erofs}. A file
 * appears there complete or not at all, whatever happens meanwhile. Any number of threads and processes may use one store.
 */
public final class RootfsStore {
    /** Changes when the images that are made change, so that old ones are not taken for new ones. */
    private static final String FORMAT = "runhv-erofs-1";

    private final Path store;
    private final Path folder;
    private final KnownArchives archives;

    /** @param store the folder above {@code rootfs}; made when it is needed */
    public RootfsStore(Path store) {
        this(store, InstantSource.system());
    }

    RootfsStore(Path store, InstantSource clock) {
        this.store = store;
        this.folder = store.resolve("rootfs");
        this.archives = new KnownArchives(store, clock);
    }

    /**
     * Makes the root file system of an image, or finds that it was made before: then a compressed archive is not even read.
     * Of several that want one image, one makes it and the others wait; where it fails or dies, the next one makes it.
     *
     * @throws RunhvException when the image is damaged or the store cannot be written
     * @throws InterruptedException when the thread is interrupted; what was begun is gone
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
        return archives.find(archive)
                .map(config -> new PreparedRootfs(image(key(config)), config))
                .filter(rootfs -> isWhole(rootfs.image()));
    }

    /** As {@link #prepare(ImageReference, RootfsProgress)}, of an image that is open. */
    public PreparedRootfs prepare(ImageSource source, RootfsProgress progress) throws InterruptedException {
        String key = key(source.config());
        Path image = image(key);
        if (!isWhole(image)) {
            try {
                Files.createDirectories(folder);
                try (StoreLock _ = StoreLock.acquire(store, key)) {
                    // Whoever had the lock may just have made it.
                    if (!isWhole(image)) {
                        make(source, key, image, progress);
                    }
                }
            } catch (IOException e) {
                Failures.throwIfInterrupted(e);
                throw Failures.of("use the image store " + folder, e);
            }
        }
        return new PreparedRootfs(image, source.config());
    }

    private Path image(String key) {
        return folder.resolve(key + ".erofs");
    }

    private boolean isWhole(Path image) {
        if (!Files.exists(image)) {
            return false;
        }
        try (ErofsReader reader = ErofsReader.open(image)) {
            return reader.isComplete();
        } catch (RunhvException e) {
            if (e.code() == ErrorCode.CORRUPT_INPUT) {
                return false; // damaged on disk: it is made again and replaced
            }
            throw e;
        }
    }

    private void make(ImageSource source, String key, Path image, RootfsProgress progress)
            throws IOException, InterruptedException {
        TemporaryFile.sweep(folder);
        String storing = "write root file system " + image;
        try (TemporaryFile temporary = TemporaryFile.create(folder, key)) {
            ImageOutput out = new ImageOutput(temporary.channel());
            RootTree tree = new RootTree();
            ErofsWriter writer = new ErofsWriter(out);
            readLayers(source, tree, writer, progress, storing);
            makeVolumes(source, tree);
            writer.finish(tree, uuid(key));
            moveTo(image, temporary);
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of(storing, e);
        }
    }

    /** Docker makes a folder for each volume that no layer has. */
    private static void makeVolumes(ImageSource source, RootTree tree) {
        for (String volume : source.config().volumes()) {
            try {
                tree.makeDirectory(new String(volume.getBytes(StandardCharsets.UTF_8), StandardCharsets.ISO_8859_1));
            } catch (CorruptInputException e) {
                throw Failures.corrupt(
                        ImageSource.operation(source.reference()) + ", volume " + volume, e.getMessage());
            }
        }
    }

    private void moveTo(Path image, TemporaryFile temporary) throws IOException {
        try {
            temporary.moveTo(image);
        } catch (FileSystemException e) {
            // Windows replaces no file that a micro-VM has open. Where it is whole it is as good.
            if (!isWhole(image)) {
                throw e;
            }
        }
    }

    private static void readLayers(
            ImageSource source, RootTree tree, ErofsWriter writer, RootfsProgress progress, String storing)
            throws InterruptedException {
        List<Layer> layers = source.layers();
        long total = layers.stream().mapToLong(Layer::storedBytes).sum();
        long before = 0;
        LayerReader reader = new LayerReader(tree, writer, RootfsLimits.LAYER_BYTES);
        try (ProgressTicker ticker = new ProgressTicker(progress, layers.size(), total)) {
            for (int i = 0; i < layers.size(); i++) {
                Layer layer = layers.get(i);
                try {
                    reader.apply(layer, ticker.begin(i + 1, before));
                } catch (IOException e) {
                    Failures.throwIfInterrupted(e);
                    RunhvException failure = Failures.of(storing, e);
                    // Reading fills no disk.
                    throw failure.code() == ErrorCode.NO_SPACE
                            ? failure
                            : Failures.of(
                                    ImageSource.operation(source.reference()) + ", layer " + (i + 1) + " of "
                                            + layers.size(),
                                    e);
                }
                ticker.end();
                before += layer.storedBytes();
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
