package dev.runhv.vmm.rootfs;

import dev.runhv.vmm.content.BlockInputStream;
import dev.runhv.vmm.content.Compression;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.tar.TarEntry;
import dev.runhv.vmm.content.tar.TarReader;
import dev.runhv.vmm.image.Layer;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.security.MessageDigest;
import java.util.function.LongConsumer;

/** Stores the entries and the data of one layer, checking on the way that it is the layer it should be. */
final class LayerReader {
    private final FileDataWriter data;
    private final LayerEntries.Writer entries;
    private final long layerBytes;
    private long count;

    /** @param layerBytes what one layer may have, decompressed */
    LayerReader(FileDataWriter data, LayerEntries.Writer entries, long layerBytes) {
        this.data = data;
        this.entries = entries;
        this.layerBytes = layerBytes;
    }

    /** @param progress is told how many stored bytes of the layer have been read */
    void read(Layer layer, LongConsumer progress) throws IOException {
        try (InputStream stored = layer.open()) {
            Counting counted = new Counting(stored, progress);
            Digest actual = readDecompressed(counted, layer.diffId());
            // What follows the compressed data is still a part of the blob, and of its digest.
            counted.transferTo(OutputStream.nullOutputStream());
            if (!actual.equals(layer.diffId())) {
                throw new CorruptInputException("%s does not match its diff_id: expected %s, its content has %s"
                        .formatted(layer, layer.diffId(), actual));
            }
        }
    }

    private Digest readDecompressed(InputStream stored, Digest expected) throws IOException {
        try (InputStream decompressed = Compression.decompress(stored);
                ReadAhead ahead = new ReadAhead(decompressed)) {
            Hashing hashing = new Hashing(ahead, expected, layerBytes);
            readEntries(new TarReader(hashing));
            hashing.drain();
            return hashing.digest();
        }
    }

    private void readEntries(TarReader tar) throws IOException {
        for (TarEntry entry = tar.next(); entry != null; entry = tar.next()) {
            if (++count > RootfsLimits.TAR_ENTRIES) {
                throw new CorruptInputException(
                        "the layer has more than %d entries".formatted(RootfsLimits.TAR_ENTRIES));
            }
            try {
                boolean wanted = RootTree.wantsData(entry);
                entries.append(entry, wanted ? data.append(tar, entry.size(), entry.sparse()) : null);
            } catch (CorruptInputException e) {
                throw RootTree.at(entry, e);
            }
        }
    }

    /** Computes the digest of what is read, and ends a layer that is larger than any layer is. */
    private static final class Hashing extends BlockInputStream {
        private static final int MOST = 1 << 20;
        private static final Taker NOBODY = (bytes, offset, length) -> {};

        private final BlockInputStream in;
        private final Digest.Algorithm algorithm;
        private final MessageDigest running;
        private final long limit;
        private long count;

        private Hashing(BlockInputStream in, Digest expected, long limit) {
            this.in = in;
            this.limit = limit;
            this.algorithm = expected.algorithm();
            this.running = algorithm.newMessageDigest();
        }

        @Override
        public int read(byte[] buffer, int offset, int length) throws IOException {
            return give(length, (bytes, at, read) -> System.arraycopy(bytes, at, buffer, offset, read));
        }

        @Override
        public int give(int most, Taker taker) throws IOException {
            return in.give(most, (bytes, at, read) -> {
                running.update(bytes, at, read);
                count += read;
                if (count > limit) {
                    throw new CorruptInputException("the layer has more than %d bytes decompressed".formatted(limit));
                }
                taker.take(bytes, at, read);
            });
        }

        @Override
        public long skip(long count) throws IOException {
            long skip = 0;
            while (skip < count) {
                int given = give((int) Math.min(MOST, count - skip), NOBODY);
                if (given < 0) {
                    break;
                }
                skip += given;
            }
            return skip;
        }

        private void drain() throws IOException {
            while (give(MOST, NOBODY) >= 0) {
                // the blocks that fill a tar up to its record size
            }
        }

        private Digest digest() {
            return Digest.of(algorithm, running);
        }
    }

    /** Closing it leaves the layer open. */
    private static final class Counting extends BlockInputStream {
        private final InputStream in;
        private final LongConsumer progress;
        private long count;

        private Counting(InputStream in, LongConsumer progress) {
            this.in = in;
            this.progress = progress;
        }

        @Override
        public int read(byte[] buffer, int offset, int length) throws IOException {
            int read = in.read(buffer, offset, length);
            if (read > 0) {
                count += read;
                progress.accept(count);
            }
            return read;
        }
    }
}
