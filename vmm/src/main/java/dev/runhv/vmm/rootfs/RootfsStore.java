package dev.runhv.vmm.rootfs;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.ImageException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.image.ImageConfig;
import dev.runhv.vmm.image.ImageSource;
import dev.runhv.vmm.image.Layer;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;

/**
 * The root file systems that were made so far, in one folder: {@code rootfs/<sha256 of the diff_ids>.erofs}. A file
 * appears there complete or not at all, whatever happens meanwhile. Any number of threads and processes may use one store.
 */
public final class RootfsStore {
    /** Changes when the images that are made change, so that old ones are not taken for new ones. */
    private static final String FORMAT = "runhv-erofs-1";

    private final Path folder;

    /** @param store the folder above {@code rootfs}; made when it is needed */
    public RootfsStore(Path store) {
        this.folder = store.resolve("rootfs");
    }

    /**
     * Makes the root file system of an image, or finds that it was made before.
     *
     * @throws ImageException when the image is damaged or the store cannot be written
     */
    public PreparedRootfs prepare(ImageSource source, RootfsProgress progress) {
        String key = key(source.config());
        Path image = folder.resolve(key + ".erofs");
        if (!isWhole(image)) {
            make(source, key, image, progress);
        }
        return new PreparedRootfs(image, source.config());
    }

    private boolean isWhole(Path image) {
        if (!Files.exists(image)) {
            return false;
        }
        try (ErofsReader reader = ErofsReader.open(image)) {
            return reader.isComplete();
        } catch (ImageException e) {
            // Damaged on disk: it is made again and replaced.
            return false;
        }
    }

    private void make(ImageSource source, String key, Path image, RootfsProgress progress) {
        String storing = "write root file system " + image;
        try {
            Files.createDirectories(folder);
            TemporaryFile.sweep(folder);
        } catch (IOException e) {
            throw Failures.of("use the image store " + folder, e);
        }
        try (TemporaryFile temporary = TemporaryFile.create(folder, key)) {
            ImageOutput out = new ImageOutput(temporary.channel());
            RootTree tree = new RootTree();
            ErofsWriter writer = new ErofsWriter(out);
            readLayers(source, tree, writer, progress, storing);
            writer.finish(tree, uuid(key));
            temporary.moveTo(image);
        } catch (IOException e) {
            throw Failures.of(storing, e);
        }
    }

    private static void readLayers(
            ImageSource source, RootTree tree, ErofsWriter writer, RootfsProgress progress, String storing) {
        List<Layer> layers = source.layers();
        long total = layers.stream().mapToLong(Layer::storedBytes).sum();
        long before = 0;
        LayerReader reader = new LayerReader(tree, writer, RootfsLimits.LAYER_BYTES);
        for (int i = 0; i < layers.size(); i++) {
            Layer layer = layers.get(i);
            int number = i + 1;
            long start = before;
            try {
                reader.apply(layer, bytes -> progress.read(number, layers.size(), start + bytes, total));
            } catch (IOException e) {
                // Reading fills no disk.
                if (Failures.of(storing, e).code() == ErrorCode.NO_SPACE) {
                    throw Failures.of(storing, e);
                }
                throw Failures.of(
                        ImageSource.operation(source.reference()) + ", layer " + number + " of " + layers.size(), e);
            }
            before += layer.storedBytes();
        }
    }

    private static String key(ImageConfig config) {
        StringBuilder text = new StringBuilder(FORMAT);
        for (Digest diffId : config.diffIds()) {
            text.append('\n').append(diffId);
        }
        return Digest.sha256(text.toString().getBytes(StandardCharsets.US_ASCII))
                .hex();
    }

    /** Follows from the content, so that the same image gives the same bytes (RFC 9562 §5.8, version 8). */
    private static byte[] uuid(String key) {
        byte[] uuid = Arrays.copyOf(HexFormat.of().parseHex(key), 16);
        uuid[6] = (byte) (uuid[6] & 0x0f | 0x80);
        uuid[8] = (byte) (uuid[8] & 0x3f | 0x80);
        return uuid;
    }
}
