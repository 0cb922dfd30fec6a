package dev.runhv.vmm.rootfs;

import static org.assertj.core.api.Assertions.assertThat;

import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.image.ImageReference;
import dev.runhv.vmm.image.ImageSource;
import dev.runhv.vmm.testing.ImageBuilder;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** Makes root file systems for the tests and tells what is in them. */
final class Rootfs {
    private Rootfs() {}

    /** The file system of an image with these layers. */
    static Path of(Path folder, byte[]... layers) {
        ImageBuilder builder = new ImageBuilder();
        for (byte[] layer : layers) {
            builder.layer(layer);
        }
        return prepare(folder, builder);
    }

    static Path prepare(Path folder, ImageBuilder builder) {
        Path layout = builder.writeTo(folder.resolve("oci"), "test");
        try (ImageSource source = ImageSource.open(new ImageReference.OciLayout(layout, ""), layout)) {
            return joined(new RootfsStore(folder.resolve("store")).prepare(source, RootfsProgress.NONE));
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    /** The image as the guest sees it, in one file. */
    static Path joined(PreparedRootfs rootfs) {
        return joined(rootfs.image(), rootfs.layers());
    }

    /** The file is in the folder above the image's. */
    static Path joined(Path image, List<Path> layers) {
        try {
            Path joined = Files.createTempFile(image.getParent().getParent(), "joined-", ".erofs");
            // Buffered, so that nobody asks the system to copy: Wine cannot.
            try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(joined))) {
                Files.copy(image, out);
                for (Path layer : layers) {
                    Files.copy(layer, out);
                }
            }
            return joined;
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    /** As {@link #describe(Path)}. */
    static Map<String, String> describe(PreparedRootfs rootfs) {
        return describe(joined(rootfs));
    }

    /**
     * One line for each name: type, permissions, owner, group, size or device, time, links, attributes and a digest of the
     * content or the target. {@code d 755 0:0 1700000000.000000000 n2 /etc}
     */
    static Map<String, String> describe(Path image) {
        Map<String, String> lines = new TreeMap<>();
        try (ErofsReader reader = ErofsReader.open(image)) {
            reader.walk((file, inode) -> lines.put(file, describe(reader, inode)));
        } catch (IOException e) {
            throw new AssertionError(e);
        }
        return lines;
    }

    private static String describe(ErofsReader reader, ErofsReader.ErofsInode inode) throws IOException {
        String content = switch (inode.mode() >> 12) {
            case 010 -> "- " + inode.size() + " " + digest(reader, inode);
            case 004 -> "d";
            case 012 -> "l " + reader.target(inode);
            case 002 -> "c " + device(inode);
            case 006 -> "b " + device(inode);
            case 001 -> "p";
            default -> throw new AssertionError("mode " + Integer.toOctalString(inode.mode()));
        };
        String xattrs = reader.xattrs(inode).entrySet().stream()
                .map(xattr ->
                        " " + xattr.getKey() + "=" + java.util.HexFormat.of().formatHex(xattr.getValue()))
                .collect(Collectors.joining());
        return "%s %o %d:%d %d.%09d n%d%s"
                .formatted(
                        content,
                        inode.mode() & 07777,
                        inode.uid(),
                        inode.gid(),
                        inode.mtimeSeconds(),
                        inode.mtimeNanos(),
                        inode.links(),
                        xattrs);
    }

    private static String device(ErofsReader.ErofsInode inode) {
        int number = inode.union();
        return (number >> 8 & 0xfff) + "," + (number & 0xff | number >>> 12 & 0xfff00);
    }

    private static String digest(ErofsReader reader, ErofsReader.ErofsInode inode) throws IOException {
        if (inode.size() > 64 << 20) {
            return "large";
        }
        return Digest.sha256(reader.content(inode, 0, (int) inode.size())).hex().substring(0, 16);
    }

    /** Names of all files, without the root. */
    static java.util.Set<String> names(PreparedRootfs rootfs) {
        return names(joined(rootfs));
    }

    /** Names of all files, without the root. */
    static java.util.Set<String> names(Path image) {
        Map<String, String> lines = describe(image);
        assertThat(lines.remove("/")).as("the root directory").startsWith("d ");
        return lines.keySet();
    }

    static String text(Path image, String file) {
        try (ErofsReader reader = ErofsReader.open(image)) {
            byte[] content = reader.readFile(file, 1 << 20);
            return content == null ? null : new String(content, java.nio.charset.StandardCharsets.ISO_8859_1);
        }
    }
}
