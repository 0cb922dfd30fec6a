package dev.runhv.vmm.rootfs;

import dev.runhv.api.FileContent;
import dev.runhv.api.RunhvException;
import dev.runhv.api.TreeEntry;
import dev.runhv.vmm.content.Failures;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.UserDefinedFileAttributeView;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A folder of the host as entries of a file system, as Linux shows it. Links are not followed. */
public final class HostTree {
    private static final String ATTRIBUTES = "unix:mode,ino,dev,nlink,rdev,uid,gid,lastModifiedTime";
    private static final int TYPE = 0170000;
    /** What the JDK shows of a name that it cannot decode. */
    private static final char UNKNOWN = '\uFFFD';

    private record File(Object device, Object inode) {}

    private final String operation;
    private final List<TreeEntry> entries = new ArrayList<>();
    /** The first name of each that has several. */
    private final Map<File, String> linked = new HashMap<>();

    private HostTree(String operation) {
        this.operation = operation;
    }

    /**
     * @return each folder before what it holds, in the order of their names
     * @throws RunhvException where there is no such folder, or something in it is not for an image
     */
    public static List<TreeEntry> entries(Path directory) {
        String operation = "read folder " + directory;
        if (!directory.getFileSystem().supportedFileAttributeViews().contains("unix")) {
            throw Failures.unsupported(operation, "This host's file systems have no modes and owners");
        }
        if (!Files.isDirectory(directory)) {
            throw Failures.notFound(operation, "There is no such folder");
        }
        HostTree tree = new HostTree(operation);
        try {
            tree.add(directory.toRealPath(), "/");
        } catch (IOException e) {
            throw Failures.of(operation, e);
        }
        return tree.entries;
    }

    private void add(Path file, String path) throws IOException {
        Map<String, Object> attributes = Files.readAttributes(file, ATTRIBUTES, LinkOption.NOFOLLOW_LINKS);
        int mode = (Integer) attributes.get("mode");
        TreeEntry.Builder entry = entry(file, path, mode, attributes);
        entry.mode(mode & 07777)
                .owner(unsigned(attributes.get("uid")), unsigned(attributes.get("gid")))
                .modified(((FileTime) attributes.get("lastModifiedTime")).toInstant());
        if ((mode & TYPE) == Inode.Kind.REGULAR.modeBits() || (mode & TYPE) == Inode.Kind.DIRECTORY.modeBits()) {
            addXattrs(file, entry);
        }
        entries.add(entry.build());
        if ((mode & TYPE) == Inode.Kind.DIRECTORY.modeBits()) {
            for (Path child : children(file)) {
                String name = child.getFileName().toString();
                add(child, readable(path.equals("/") ? "/" + name : path + "/" + name));
            }
        }
    }

    private static long unsigned(Object number) {
        return Integer.toUnsignedLong((Integer) number);
    }

    private static List<Path> children(Path folder) throws IOException {
        List<Path> children = new ArrayList<>();
        try (DirectoryStream<Path> stream = Files.newDirectoryStream(folder)) {
            stream.forEach(children::add);
        }
        children.sort(Comparator.comparing(child -> child.getFileName().toString()));
        return children;
    }

    private TreeEntry.Builder entry(Path file, String path, int mode, Map<String, Object> attributes)
            throws IOException {
        boolean directory = (mode & TYPE) == Inode.Kind.DIRECTORY.modeBits();
        if (!directory && (Integer) attributes.get("nlink") > 1) {
            String first = linked.putIfAbsent(new File(attributes.get("dev"), attributes.get("ino")), path);
            if (first != null) {
                return TreeEntry.hardLink(path, first);
            }
        }
        long device = (Long) attributes.get("rdev");
        // glibc: gnu_dev_major and gnu_dev_minor.
        int major = (int) (device >> 8 & 0xfff);
        int minor = (int) (device & 0xff | device >> 12 & 0xfff00);
        return switch (kind(path, mode)) {
            case REGULAR -> TreeEntry.file(path, FileContent.of(file));
            case DIRECTORY -> TreeEntry.directory(path);
            case SYMBOLIC_LINK ->
                TreeEntry.symbolicLink(
                        path, readable(Files.readSymbolicLink(file).toString()));
            case CHARACTER_DEVICE -> TreeEntry.device(TreeEntry.Type.CHARACTER_DEVICE, path, major, minor);
            case BLOCK_DEVICE -> TreeEntry.device(TreeEntry.Type.BLOCK_DEVICE, path, major, minor);
            case FIFO -> TreeEntry.fifo(path);
        };
    }

    private String readable(String path) {
        if (path.indexOf(UNKNOWN) >= 0) {
            throw Failures.unsupported(operation, path + " has a name that is no UTF-8");
        }
        return path;
    }

    private Inode.Kind kind(String path, int mode) {
        for (Inode.Kind kind : Inode.Kind.values()) {
            if ((mode & TYPE) == kind.modeBits()) {
                return kind;
            }
        }
        throw Failures.unsupported(operation, path + " is a socket, which no image can hold");
    }

    private static void addXattrs(Path file, TreeEntry.Builder entry) throws IOException {
        UserDefinedFileAttributeView view = Files.getFileAttributeView(file, UserDefinedFileAttributeView.class);
        if (view == null) {
            return;
        }
        for (String name : view.list()) {
            ByteBuffer value = ByteBuffer.allocate(view.size(name));
            view.read(name, value);
            entry.xattr("user." + name, value.array());
        }
    }
}
