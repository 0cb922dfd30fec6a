package dev.runhv.vmm.rootfs;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.StoreLock;
import dev.runhv.vmm.content.StoreQuota;
import dev.runhv.vmm.content.TemporaryFile;
import dev.runhv.vmm.image.Layer;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.Channels;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.LongConsumer;
import java.util.zip.CRC32C;

/**
 * The layers that were read so far, each once for all images that have it: {@code layers/<diff_id>.data}, the content of its
 * files in whole blocks, and {@code layers/<diff_id>.entries}, which appears last. Any number of threads and processes may use
 * one store.
 */
final class StoredLayers {
    private final Path store;
    private final Path folder;
    private final StoreQuota quota;

    StoredLayers(Path store) {
        this.store = store;
        this.quota = StoreQuota.of(store);
        this.folder = store.resolve("layers");
    }

    Path folder() {
        return folder;
    }

    /** Where the content of a layer's files is, or will be; an empty file where they have none. */
    Path data(Digest diffId) {
        return folder.resolve(name(diffId) + ".data");
    }

    /** Where the entries of a layer are, or will be. */
    Path entries(Digest diffId) {
        return folder.resolve(name(diffId) + ".entries");
    }

    /**
     * Reads a layer, unless that was done before. Of several that want it, one reads it and the others wait.
     *
     * @param progress is told how many stored bytes of the layer have been read
     * @return how many blocks its data has
     */
    int require(Layer layer, LongConsumer progress) throws IOException, InterruptedException {
        int blocks = wholeBlocks(layer.diffId());
        if (blocks >= 0) {
            return blocks;
        }
        try (StoreLock _ = StoreLock.acquire(store, "layer-" + name(layer.diffId()))) {
            // Whoever had the lock may just have read it.
            blocks = wholeBlocks(layer.diffId());
            return blocks >= 0 ? blocks : readChecked(layer, progress);
        }
    }

    private int readChecked(Layer layer, LongConsumer progress) throws IOException {
        try {
            return read(layer, progress);
        } catch (CorruptInputException | EOFException e) {
            // What a registry sends is read before its digest is known: that has the first word, and a second host may
            // have better.
            if (!layer.keep()) {
                throw e;
            }
            return read(layer, progress);
        }
    }

    /** -1 where the layer is not there, or not whole. */
    int wholeBlocks(Digest diffId) throws IOException {
        Optional<LayerEntries.Data> said = LayerEntries.check(entries(diffId));
        Path data = data(diffId);
        boolean whole = said.isPresent()
                && Files.exists(data)
                && Files.size(data) == (long) said.get().blocks() << Erofs.BLOCK_BITS;
        return whole ? said.get().blocks() : -1;
    }

    /** Reads all of a layer that is there: whether it is as it was written. */
    boolean verify(Digest diffId) throws IOException {
        if (wholeBlocks(diffId) < 0) {
            return false;
        }
        CRC32C checksum = new CRC32C();
        byte[] buffer = new byte[1 << 20];
        try (InputStream in = Files.newInputStream(data(diffId))) {
            for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
                checksum.update(buffer, 0, count);
            }
        }
        return LayerEntries.check(entries(diffId)).orElseThrow().checksum() == (int) checksum.getValue();
    }

    private int read(Layer layer, LongConsumer progress) throws IOException {
        Files.createDirectories(folder);
        TemporaryFile.sweep(folder);
        try (TemporaryFile data = TemporaryFile.create(folder, name(layer.diffId()));
                TemporaryFile entries = TemporaryFile.create(folder, name(layer.diffId()))) {
            ImageOutput out = new ImageOutput(data.channel(), quota::take);
            LayerEntries.Writer writer = new LayerEntries.Writer(Channels.newOutputStream(entries.channel()));
            new LayerReader(new FileDataWriter(out), writer, RootfsLimits.LAYER_BYTES).read(layer, progress);
            out.finish();
            writer.finish(out.block(), out.checksum());
            data.moveToCache(data(layer.diffId()));
            // Nobody believes them before wholeBlocks has compared their checksum.
            entries.moveUnsynced(entries(layer.diffId()));
            return out.block();
        }
    }

    private static String name(Digest diffId) {
        return diffId.toString().replace(':', '-');
    }
}
