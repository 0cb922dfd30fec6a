package dev.runhv.vmm.rootfs;

import dev.runhv.vmm.content.CorruptInputException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;

/** Applies stored layers to a tree, lowest first; their data is one behind the other in the image. */
final class LayerMerge {
    private static final int DATA_BLOCKS = (int) (RootfsLimits.DATA_BYTES >> Erofs.BLOCK_BITS);

    private final RootTree tree;
    private long entries;
    private long chunks;

    LayerMerge(RootTree tree) {
        this.tree = tree;
    }

    /**
     * @param file the layer's entries
     * @param firstBlock of its data, among that of all layers
     * @param blocks how much data it has
     * @throws CorruptInputException when an entry cannot mean anything, or the layers are too large together
     */
    void apply(Path file, long firstBlock, int blocks) throws IOException {
        if (firstBlock + blocks > DATA_BLOCKS) {
            throw new CorruptInputException(
                    "the image would have more than %d bytes of data".formatted(RootfsLimits.DATA_BYTES));
        }
        tree.beginLayer();
        try (LayerEntries.Reader reader = new LayerEntries.Reader(file)) {
            for (LayerEntries.Entry entry = reader.next(); entry != null; entry = reader.next()) {
                if (++entries > RootfsLimits.TAR_ENTRIES) {
                    throw new CorruptInputException(
                            "the layers have more than %d entries".formatted(RootfsLimits.TAR_ENTRIES));
                }
                try {
                    tree.apply(entry.tar(), behind((int) firstBlock, entry.data()));
                } catch (CorruptInputException e) {
                    throw RootTree.at(entry.tar(), e);
                }
            }
        }
        tree.endLayer();
    }

    private FileData behind(int firstBlock, FileData data) throws CorruptInputException {
        return switch (data) {
            case null -> null;
            case FileData.Flat(long size, int startBlock) -> new FileData.Flat(size, firstBlock + startBlock);
            case FileData.Chunked(long size, int chunkBits, int[] blocks) -> {
                chunks += blocks.length;
                if (chunks > RootfsLimits.CHUNKS) {
                    throw new CorruptInputException("the sparse files of the image are too many or too large");
                }
                Arrays.setAll(
                        blocks,
                        i -> blocks[i] == FileData.Chunked.HOLE ? FileData.Chunked.HOLE : firstBlock + blocks[i]);
                yield new FileData.Chunked(size, chunkBits, blocks);
            }
        };
    }
}
