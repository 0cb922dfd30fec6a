package dev.runhv.vmm.rootfs;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.tar.Sparse;
import dev.runhv.vmm.content.tar.TarEntry;
import dev.runhv.vmm.content.tar.TarReader;
import dev.runhv.vmm.rootfs.Inode.Child;
import dev.runhv.vmm.rootfs.Inode.Directory;
import dev.runhv.vmm.testing.TarBuilder;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeSet;

/**
 * Bytes as a list of entries: what the tree holds is what the image shows to a reader of its own. {@code runhv.fuzz.fsck}
 * lets fsck.erofs judge every so many images as well.
 */
public final class ErofsFuzz {
    private static final int FSCK_EVERY = Integer.getInteger("runhv.fuzz.fsck", 0);

    /** In place of an operation. */
    static final int NEXT_LAYER = 0xff;

    private static Path image;
    private static long images;

    private ErofsFuzz() {}

    public static void fuzzerTestOneInput(byte[] data) throws IOException {
        if (image == null) {
            image = Files.createTempFile("runhv-fuzz-", ".erofs");
            image.toFile().deleteOnExit();
        }
        RootTree tree = new RootTree();
        try (FileChannel channel =
                FileChannel.open(image, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE)) {
            ImageOutput out = new ImageOutput(channel);
            ErofsWriter writer = new ErofsWriter(out);
            FileDataWriter content = new FileDataWriter(out);
            tree.beginLayer();
            Bytes bytes = new Bytes(data);
            while (bytes.more()) {
                try {
                    apply(bytes, tree, content);
                } catch (CorruptInputException e) {
                    // This entry means nothing; those before it stand.
                    continue;
                }
            }
            writer.finishBehindData(tree, new byte[16]);
        }
        try (ErofsReader reader = ErofsReader.open(image)) {
            compare(tree, reader);
        }
        if (FSCK_EVERY > 0 && ++images % FSCK_EVERY == 0) {
            Fsck.accepts(image);
        }
    }

    private static void apply(Bytes bytes, RootTree tree, FileDataWriter writer) throws IOException {
        int operation = bytes.next();
        if (operation == NEXT_LAYER) {
            tree.beginLayer();
            return;
        }
        Made made = made(operation, bytes, 0);
        tree.apply(made.entry, made.append(writer));
    }

    /** An entry, and what a file's data is but for its hole. */
    record Made(TarEntry entry, byte[] content) {
        /** @return null where the entry has no data */
        FileData append(FileDataWriter writer) throws IOException {
            if (!RootTree.wantsData(entry)) {
                return null;
            }
            TarReader tar = new TarReader(
                    new ByteArrayInputStream(new TarBuilder().file("x", content).bytes()));
            tar.next();
            return writer.append(tar, entry.size(), entry.sparse());
        }
    }

    /** @param filled each byte of the content */
    static Made made(int operation, Bytes bytes, int filled) {
        TarEntry.Type type = TarEntry.Type.values()[operation % TarEntry.Type.values().length];
        String name = path(bytes);
        String link = type == TarEntry.Type.SYMBOLIC_LINK || type == TarEntry.Type.HARD_LINK ? path(bytes) : "";
        Map<String, byte[]> xattrs = new HashMap<>();
        if ((operation & 0x40) != 0) {
            String prefix =
                    new String[] {"user.", "trusted.", "security.", "system.posix_acl_access"}[bytes.next() % 4];
            xattrs.put(prefix + bytes.next(), new byte[bytes.next() * bytes.next()]);
        }
        byte[] content = (operation & 0x20) != 0 ? new byte[bytes.next() * 64] : new byte[bytes.next()];
        Arrays.fill(content, (byte) filled);
        long size = type == TarEntry.Type.FILE ? content.length : 0;
        Sparse sparse = Sparse.NONE;
        if (type == TarEntry.Type.FILE && (operation & 0x80) != 0 && content.length > 0) {
            long hole = (long) bytes.next() << bytes.next() % 36;
            size += hole;
            sparse = new Sparse(new long[] {hole}, new long[] {content.length});
        }
        TarEntry entry = new TarEntry(
                type,
                name,
                link,
                bytes.next() << 4,
                bytes.next(),
                bytes.next() << 16,
                size,
                bytes.next() - 128L,
                bytes.next(),
                bytes.next() << 4,
                bytes.next() << 12,
                sparse,
                xattrs);
        return new Made(entry, content);
    }

    /** Names from a small alphabet, so that entries meet; some of them at the limits. */
    private static String path(Bytes bytes) {
        StringBuilder path = new StringBuilder();
        for (int parts = bytes.next() % 5; parts >= 0; parts--) {
            int part = bytes.next();
            switch (part >> 5) {
                case 0 -> path.append("..");
                case 1 -> path.append(".wh.").append((char) ('a' + (part & 3)));
                case 2 -> path.append(".wh..wh..opq");
                case 3 -> path.append("" + (char) (part & 31)).append("n".repeat(254));
                case 4 -> path.append((char) part);
                default -> path.append((char) ('a' + (part & 7)));
            }
            path.append(parts > 0 ? "/" : "");
        }
        return path.toString().replace('\0', '0');
    }

    static void compare(RootTree tree, ErofsReader reader) throws IOException {
        Map<String, Inode> expected = new HashMap<>();
        collect("", tree.root(), expected);
        Map<String, Inode> missing = new HashMap<>(expected);
        reader.walk((name, inode) -> {
            Inode wanted = missing.remove(name);
            if (wanted == null) {
                throw new AssertionError("The image has " + name);
            }
            Attributes attributes = wanted.attributes();
            if ((inode.mode() & 0170000) != wanted.kindOf().modeBits()
                    || (inode.mode() & 07777) != attributes.mode()
                    || inode.uid() != Integer.toUnsignedLong(attributes.uid())
                    || inode.mtimeSeconds() != attributes.mtimeSeconds()
                    || !reader.xattrs(inode)
                            .keySet()
                            .equals(new TreeSet<>(attributes.xattrs().keySet()))) {
                throw new AssertionError(name + " differs: " + inode + " " + attributes);
            }
            switch (wanted) {
                case Inode.RegularFile file -> {
                    if (inode.size() != file.data().size()) {
                        throw new AssertionError(name + " has another size");
                    }
                    reader.content(inode, 0, (int) Math.min(inode.size(), 1 << 16));
                }
                case Inode.SymbolicLink link -> {
                    if (!reader.target(inode).equals(link.target())) {
                        throw new AssertionError(name + " leads elsewhere");
                    }
                }
                case Inode.Directory ignored -> {}
                case Inode.Special ignored -> {}
            }
        });
        if (!missing.isEmpty()) {
            throw new AssertionError("The image lacks " + missing.keySet());
        }
    }

    private static void collect(String name, Inode inode, Map<String, Inode> all) {
        all.put(name.isEmpty() ? "/" : name, inode);
        if (inode instanceof Directory directory) {
            for (Map.Entry<String, Child> child : directory.children().entrySet()) {
                collect(name + "/" + child.getKey(), child.getValue().inode(), all);
            }
        }
    }

    static final class Bytes {
        private final byte[] data;
        private int at;

        Bytes(byte[] data) {
            this.data = data;
        }

        boolean more() {
            return at < data.length;
        }

        /** 0 behind the end. */
        int next() {
            return more() ? data[at++] & 0xff : 0;
        }
    }
}
