package dev.runhv.vmm.rootfs;

import dev.runhv.api.FileContent;
import dev.runhv.api.RunhvException;
import dev.runhv.api.TreeEntry;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.TemporaryFile;
import dev.runhv.vmm.content.tar.Sparse;
import dev.runhv.vmm.content.tar.TarEntry;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Writes EROFS images of what a program names. The same entries give the same bytes. */
public final class TreeImage {
    private static final byte[] NO_UUID = new byte[16];

    private TreeImage() {}

    /**
     * @param image replaced once all is written
     * @throws RunhvException where an entry cannot be, with {@code INVALID_ARGUMENT}, or cannot be read
     * @throws InterruptedException when the thread is interrupted; what was begun is gone
     */
    public static void write(Path image, List<TreeEntry> entries) throws InterruptedException {
        Path file = image.toAbsolutePath();
        try (TemporaryFile temporary =
                TemporaryFile.create(file.getParent(), file.getFileName().toString())) {
            ImageOutput out = new ImageOutput(temporary.channel());
            ErofsWriter writer = new ErofsWriter(out);
            FileDataWriter data = new FileDataWriter(out);
            RootTree tree = new RootTree();
            tree.beginLayer();
            for (TreeEntry entry : entries) {
                if (Thread.interrupted()) {
                    throw new InterruptedException();
                }
                apply(entry, tree, data);
            }
            writer.finishBehindData(tree, NO_UUID);
            temporary.moveTo(file);
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of("write file system " + image, e);
        }
    }

    private static void apply(TreeEntry entry, RootTree tree, FileDataWriter data)
            throws IOException, InterruptedException {
        String operation = "write the entry " + entry.path() + " of a file system";
        try {
            long size = 0;
            FileData stored = null;
            if (entry.content().isPresent()) {
                FileContent content = entry.content().get();
                size = content.bytes();
                try (InputStream in = content.open()) {
                    stored = data.append(in, size);
                }
            }
            TarEntry member = member(entry, size);
            if (RootTree.isWhiteout(member)) {
                throw Failures.unsupported(operation, "A name that begins with .wh. means something else in layers");
            }
            tree.apply(member, stored);
        } catch (CorruptInputException e) {
            throw Failures.invalid(operation, e.getMessage());
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of(operation, e);
        }
    }

    private static TarEntry member(TreeEntry entry, long size) {
        Map<String, byte[]> xattrs = new HashMap<>();
        entry.xattrs().forEach((name, value) -> xattrs.put(byteString(name), value));
        return new TarEntry(
                TarEntry.Type.valueOf(entry.type().name()),
                byteString(entry.path()),
                byteString(entry.target()),
                entry.mode(),
                entry.uid(),
                entry.gid(),
                size,
                entry.modified().getEpochSecond(),
                entry.modified().getNano(),
                entry.major(),
                entry.minor(),
                Sparse.NONE,
                xattrs);
    }

    private static String byteString(String text) {
        return new String(text.getBytes(StandardCharsets.UTF_8), StandardCharsets.ISO_8859_1);
    }
}
