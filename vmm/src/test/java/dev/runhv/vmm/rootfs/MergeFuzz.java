package dev.runhv.vmm.rootfs;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.tar.TarEntry;
import java.io.IOException;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * Bytes as layers of entries, each stored and read again as the store does it: the image that is merged of them shows the tree
 * that the entries give at once, and each file its own content. {@code runhv.fuzz.fsck} lets fsck.erofs judge every so many
 * images as well.
 */
public final class MergeFuzz {
    private static final int FSCK_EVERY = Integer.getInteger("runhv.fuzz.fsck", 0);
    private static final int LAYERS = 8;

    private static Path folder;
    private static long images;

    private MergeFuzz() {}

    public static void fuzzerTestOneInput(byte[] data) throws IOException {
        if (folder == null) {
            folder = Files.createTempDirectory("runhv-fuzz-");
            folder.toFile().deleteOnExit();
        }
        List<Path> parts = new ArrayList<>();
        try {
            judge(new ErofsFuzz.Bytes(data), parts);
        } finally {
            for (Path part : parts) {
                Files.deleteIfExists(part);
            }
        }
    }

    /** An entry that means something behind those before it. */
    private record Meant(int layer, TarEntry entry, FileData data) {}

    /** @param files that there are from now on */
    private static void judge(ErofsFuzz.Bytes bytes, List<Path> files) throws IOException {
        List<Meant> meant = new ArrayList<>();
        RootTree merged = new RootTree();
        LayerMerge merge = new LayerMerge(merged);
        List<Path> layers = new ArrayList<>();
        int blocks = 0;
        do {
            Path content = named(files, layers.size() + ".data");
            Path entries = named(files, layers.size() + ".entries");
            layers.add(content);
            int more = store(bytes, layers.size(), meant, content, entries);
            merge.apply(entries, blocks, more);
            blocks += more;
        } while (bytes.more() && layers.size() < LAYERS);

        Path image = named(files, "image.erofs");
        try (ImageOutput out = new ImageOutput(create(image))) {
            new ErofsWriter(out).finishBeforeData(merged, new byte[16], blocks);
        }
        List<Path> withContent = new ArrayList<>();
        for (Path layer : layers) {
            if (Files.size(layer) > 0) {
                withContent.add(layer);
            }
        }
        RootTree expected = tree(meant, layers.size());
        expected.endLayer();
        try (ErofsReader reader = ErofsReader.open(image, withContent)) {
            ErofsFuzz.compare(expected, reader);
            compareContent(reader);
        }
        if (FSCK_EVERY > 0 && ++images % FSCK_EVERY == 0) {
            Path joined = Rootfs.joined(image, withContent);
            files.add(joined);
            Fsck.accepts(joined);
        }
    }

    /** What the entries of so many layers make at once; the last of them has not ended. */
    private static RootTree tree(List<Meant> meant, int layers) throws CorruptInputException {
        RootTree tree = new RootTree();
        int next = 0;
        for (int layer = 1; layer <= layers; layer++) {
            tree.beginLayer();
            for (; next < meant.size() && meant.get(next).layer == layer; next++) {
                tree.apply(meant.get(next).entry, meant.get(next).data);
            }
            if (layer < layers) {
                tree.endLayer();
            }
        }
        return tree;
    }

    private static Path named(List<Path> files, String name) {
        Path file = folder.resolve(name);
        files.add(file);
        return file;
    }

    private static FileChannel create(Path file) throws IOException {
        return FileChannel.open(
                file, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE);
    }

    /**
     * A layer of those entries that mean something behind what there is, and are a part of that then.
     *
     * @return how many blocks its data has
     */
    private static int store(ErofsFuzz.Bytes bytes, int layer, List<Meant> meant, Path content, Path entries)
            throws IOException {
        try (ImageOutput out = new ImageOutput(create(content));
                FileChannel file = create(entries)) {
            FileDataWriter data = new FileDataWriter(out);
            LayerEntries.Writer writer = new LayerEntries.Writer(Channels.newOutputStream(file));
            RootTree tree = tree(meant, layer);
            while (bytes.more()) {
                int operation = bytes.next();
                if (operation == ErofsFuzz.NEXT_LAYER) {
                    break;
                }
                // Whose content is whose is seen by the owner.
                ErofsFuzz.Made made = ErofsFuzz.made(operation, bytes, layer);
                TarEntry entry = owned(made.entry(), layer);
                try {
                    FileData appended = made.append(data);
                    tree.apply(entry, appended);
                    meant.add(new Meant(layer, entry, appended));
                    writer.append(entry, appended);
                } catch (CorruptInputException e) {
                    // It ends an import. What it has left in the tree, a parent for instance, is of none here.
                    tree = tree(meant, layer);
                }
            }
            out.finish();
            writer.finish(out.block(), out.checksum());
            return out.block();
        }
    }

    private static TarEntry owned(TarEntry entry, int uid) {
        return new TarEntry(
                entry.type(),
                entry.name(),
                entry.linkName(),
                entry.mode(),
                uid,
                entry.gid(),
                entry.size(),
                entry.mtimeSeconds(),
                entry.mtimeNanos(),
                entry.deviceMajor(),
                entry.deviceMinor(),
                entry.sparse(),
                entry.xattrs());
    }

    private static void compareContent(ErofsReader reader) throws IOException {
        reader.walk((name, inode) -> {
            if (inode.isRegular()) {
                for (byte each : reader.content(inode, 0, (int) Math.min(inode.size(), 1 << 16))) {
                    if (each != 0 && each != inode.uid()) {
                        throw new AssertionError(name + " has what another layer's file has");
                    }
                }
            }
        });
    }
}
