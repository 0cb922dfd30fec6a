package dev.runhv.vmm.rootfs;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.tar.TarEntry;
import dev.runhv.vmm.rootfs.Inode.Child;
import dev.runhv.vmm.rootfs.Inode.Directory;
import dev.runhv.vmm.rootfs.Inode.Kind;
import dev.runhv.vmm.rootfs.Inode.RegularFile;
import dev.runhv.vmm.rootfs.Inode.Special;
import dev.runhv.vmm.rootfs.Inode.SymbolicLink;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;

/**
 * The tree of a root file system while layers are applied to it, lowest first (OCI image 1.1 layer.md#applying-changesets).
 * Paths are resolved inside the tree, as if it were mounted at {@code /}: a link or a {@code ..} that leads out of it
 * leads to its root.
 */
final class RootTree {
    private static final String WHITEOUT = ".wh.";
    private static final String OPAQUE = ".wh..wh..opq";
    private static final String METADATA = ".wh..wh.";

    private final Directory root = new Directory(Attributes.IMPLIED_DIRECTORY);
    private final long stepLimit;
    private long steps;
    private int layer;
    private int entries;
    /** Of the last entry: those of one folder are often alike, and a million are in memory. */
    private Attributes last = Attributes.IMPLIED_DIRECTORY;

    private long xattrBytes;
    /** Of all that were ever made: what a later layer replaces is not worth the accounts. */
    private long nameBytes;

    RootTree() {
        this(RootfsLimits.STEPS);
    }

    /** @param stepLimit how much work all entries together may ask for, see {@link RootfsLimits#STEPS} */
    RootTree(long stepLimit) {
        this.stepLimit = stepLimit;
    }

    Directory root() {
        return root;
    }

    /** The work that was done so far, never more than the limit. */
    long steps() {
        return steps;
    }

    /** Every entry that is applied from here on belongs to the next layer up. */
    void beginLayer() {
        layer++;
    }

    /** Takes out the folders in which AUFS kept the targets of hard links: docker's old layers hold them, no root does. */
    void endLayer() {
        root.children().entrySet().removeIf(child -> {
            boolean metadata = child.getKey().startsWith(METADATA);
            if (metadata) {
                forget(child.getValue().inode());
            }
            return metadata;
        });
    }

    /**
     * Applies one entry. For a regular file the data must be in the image already.
     *
     * @param data of a regular file, else ignored
     * @throws CorruptInputException when the entry cannot mean anything
     */
    void apply(TarEntry entry, FileData data) throws CorruptInputException {
        List<String> path = cleaned(entry.name());
        if (path.isEmpty()) {
            if (entry.type() != TarEntry.Type.DIRECTORY) {
                throw new CorruptInputException("it would replace the root directory");
            }
            setAttributes(root, attributes(entry));
            return;
        }
        String name = path.removeLast();
        if (name.startsWith(WHITEOUT)) {
            applyWhiteout(path, name);
            return;
        }
        Directory directory = directory(path, Missing.MAKE_OVER_LOWER);
        Child existing = directory.children().get(name);
        if (entry.type() == TarEntry.Type.DIRECTORY) {
            if (existing != null && existing.inode() instanceof Directory merged) {
                setAttributes(merged, attributes(entry));
                directory.children().put(name, new Child(merged, layer));
            } else {
                put(directory, name, newDirectory(directory, attributes(entry)));
            }
        } else if (entry.type() == TarEntry.Type.HARD_LINK) {
            Inode target = linkTarget(entry.linkName());
            // Linking a name to itself is how some tars repeat a file.
            if (existing == null || existing.inode() != target) {
                put(directory, name, target);
            } else {
                directory.children().put(name, new Child(target, layer));
            }
        } else {
            put(directory, name, inode(entry, data));
        }
    }

    private Attributes attributes(TarEntry entry) throws CorruptInputException {
        Attributes attributes = Attributes.of(entry);
        if (!attributes.equals(last)) {
            last = attributes;
        }
        return last;
    }

    /** Whether the entry says that something is not there. */
    static boolean isWhiteout(TarEntry entry) throws CorruptInputException {
        List<String> path = cleaned(entry.name());
        return !path.isEmpty() && path.getLast().startsWith(WHITEOUT);
    }

    /** Whether applying the entry will ask for data: that of a whiteout or of the root is of no use. */
    static boolean wantsData(TarEntry entry) throws CorruptInputException {
        if (entry.type() != TarEntry.Type.FILE) {
            return false;
        }
        return !cleaned(entry.name()).isEmpty() && !isWhiteout(entry);
    }

    private Inode inode(TarEntry entry, FileData data) throws CorruptInputException {
        Attributes attributes = attributes(entry);
        countXattrs(attributes);
        return switch (entry.type()) {
            case FILE -> new RegularFile(attributes, data);
            case SYMBOLIC_LINK -> new SymbolicLink(attributes, linkText(entry.linkName()));
            case CHARACTER_DEVICE ->
                new Special(attributes, Kind.CHARACTER_DEVICE, entry.deviceMajor(), entry.deviceMinor());
            case BLOCK_DEVICE -> new Special(attributes, Kind.BLOCK_DEVICE, entry.deviceMajor(), entry.deviceMinor());
            case FIFO -> new Special(attributes, Kind.FIFO, 0, 0);
            case DIRECTORY, HARD_LINK -> throw new IllegalArgumentException("Not made here: " + entry.type());
        };
    }

    private static String linkText(String target) throws CorruptInputException {
        if (target.isEmpty() || target.length() >= RootfsLimits.PATH_BYTES) {
            throw new CorruptInputException("it is a symbolic link to nothing, or to a path that is too long");
        }
        return target;
    }

    private Inode linkTarget(String link) throws CorruptInputException {
        List<String> path = cleaned(link);
        if (!path.isEmpty()) {
            String name = path.removeLast();
            Directory directory = directory(path, Missing.LEAVE);
            Child child = directory == null ? null : directory.children().get(name);
            if (child != null && !(child.inode() instanceof Directory)) {
                return child.inode();
            }
            if (child == null) {
                throw new CorruptInputException("it is a hard link to " + printable(link) + ", which does not exist");
            }
        }
        throw new CorruptInputException("it is a hard link to the directory " + printable(link));
    }

    private void applyWhiteout(List<String> path, String name) throws CorruptInputException {
        if (name.equals(OPAQUE)) {
            hideLower(directory(path, Missing.MAKE_OVER_LOWER));
            return;
        }
        if (name.startsWith(METADATA)) {
            return;
        }
        String hidden = name.substring(WHITEOUT.length());
        if (hidden.isEmpty()) {
            throw new CorruptInputException("it is a whiteout of nothing");
        }
        if (hidden.equals(".") || hidden.equals("..")) {
            return;
        }
        Directory directory = directory(path, Missing.LEAVE);
        Child child = directory == null ? null : directory.children().get(hidden);
        if (child != null && hide(child)) {
            directory.children().remove(hidden);
            forget(child.inode());
        }
    }

    /** Removes what lower layers put into a directory; what this layer put there stays, wherever its entry stands. */
    private void hideLower(Directory directory) throws CorruptInputException {
        Iterator<Child> children = directory.children().values().iterator();
        while (children.hasNext()) {
            Child child = children.next();
            count(1);
            if (hide(child)) {
                children.remove();
                forget(child.inode());
            }
        }
    }

    /** Hides the lower layers' part of a child; true when nothing remains of it. */
    private boolean hide(Child child) throws CorruptInputException {
        if (!(child.inode() instanceof Directory directory)) {
            return child.layer() < layer;
        }
        hideLower(directory);
        if (child.layer() == layer) {
            return false;
        }
        if (directory.children().isEmpty()) {
            return true;
        }
        // Only implied by what this layer put into it.
        setAttributesOfImplied(directory);
        return false;
    }

    private void setAttributesOfImplied(Directory directory) {
        xattrBytes -= directory.attributes().xattrBytes();
        directory.setAttributes(Attributes.IMPLIED_DIRECTORY);
    }

    private void put(Directory directory, String name, Inode inode) throws CorruptInputException {
        nameBytes += name.length()
                + (inode instanceof SymbolicLink link ? link.target().length() : 0);
        if (nameBytes > RootfsLimits.NAME_TOTAL_BYTES) {
            throw new CorruptInputException(
                    "the names of the file system have more than %d bytes".formatted(RootfsLimits.NAME_TOTAL_BYTES));
        }
        Child replaced = directory.children().put(name, new Child(inode, layer));
        if (replaced != null) {
            forget(replaced.inode());
        }
        if (++entries > RootfsLimits.ENTRIES) {
            throw new CorruptInputException("the file system has more than %d files".formatted(RootfsLimits.ENTRIES));
        }
    }

    /** One name of the inode is gone, with all that is below it. */
    private void forget(Inode inode) {
        Deque<Inode> gone = new ArrayDeque<>();
        gone.push(inode);
        while (!gone.isEmpty()) {
            entries--;
            if (gone.pop() instanceof Directory directory) {
                xattrBytes -= directory.attributes().xattrBytes();
                for (Child child : directory.children().values()) {
                    gone.push(child.inode());
                }
            }
        }
    }

    private void setAttributes(Directory directory, Attributes attributes) throws CorruptInputException {
        xattrBytes -= directory.attributes().xattrBytes();
        countXattrs(attributes);
        directory.setAttributes(attributes);
    }

    private void countXattrs(Attributes attributes) throws CorruptInputException {
        xattrBytes += attributes.xattrBytes();
        if (xattrBytes > RootfsLimits.XATTR_TOTAL_BYTES) {
            throw new CorruptInputException("the extended attributes of the file system have more than %d bytes"
                    .formatted(RootfsLimits.XATTR_TOTAL_BYTES));
        }
    }

    private Directory newDirectory(Directory parent, Attributes attributes) throws CorruptInputException {
        if (parent.depth() + 1 > RootfsLimits.DEPTH) {
            throw new CorruptInputException("directories are nested more than %d deep".formatted(RootfsLimits.DEPTH));
        }
        countXattrs(attributes);
        return new Directory(attributes, parent);
    }

    /**
     * Makes a directory of an absolute path, and those on the way to it, where there is nothing; what is there stays as it
     * is, a file too.
     */
    void makeDirectory(String path) throws CorruptInputException {
        directory(cleaned(path), Missing.MAKE);
    }

    /** What becomes of a directory that is not there. */
    private enum Missing {
        LEAVE,
        MAKE,
        /** Also in place of a file of a lower layer: the newest layer wins. */
        MAKE_OVER_LOWER
    }

    /**
     * The directory that a path leads to, through symbolic links.
     *
     * @return null where there is none, and none was made
     */
    private Directory directory(List<String> path, Missing missing) throws CorruptInputException {
        Deque<String> rest = new ArrayDeque<>(path);
        Directory at = root;
        int links = 0;
        Link link = null; // the one of the path itself that is being followed
        int own = path.size(); // of what is left, the components of the path itself
        while (!rest.isEmpty()) {
            if (rest.size() == own) {
                own--;
                link = null;
            }
            String name = rest.pop();
            count(1);
            if (name.equals("..")) {
                at = at.parent();
                continue;
            }
            Child child = at.children().get(name);
            switch (child == null ? null : child.inode()) {
                case null -> {
                    if (missing == Missing.LEAVE) {
                        return null;
                    }
                    at = makeImplied(at, checkedName(name));
                }
                case Directory directory -> at = directory;
                case SymbolicLink symbolic -> {
                    if (++links > RootfsLimits.SYMBOLIC_LINKS) {
                        throw new CorruptInputException("its path has too many symbolic links");
                    }
                    count(symbolic.target().length());
                    if (link == null) {
                        link = new Link(at, name, child);
                    }
                    if (symbolic.target().startsWith("/")) {
                        at = root;
                    }
                    List<String> parts = parts(symbolic.target());
                    for (String part : parts.reversed()) {
                        rest.push(part);
                    }
                    if (rest.size() > RootfsLimits.PATH_BYTES) {
                        throw new CorruptInputException("its path is too long once its symbolic links are followed");
                    }
                }
                case RegularFile ignored -> {
                    at = overFile(link == null ? new Link(at, name, child) : link, missing);
                    dropTo(rest, own);
                }
                case Special ignored -> {
                    at = overFile(link == null ? new Link(at, name, child) : link, missing);
                    dropTo(rest, own);
                }
            }
            if (at == null) {
                return null;
            }
        }
        return at;
    }

    /** A name on a path that leads to a file, by itself or as a symbolic link. */
    private record Link(Directory parent, String name, Child child) {}

    /** What leads to a file where a directory must be becomes one: the link, not the file that others may mean. */
    private Directory overFile(Link link, Missing missing) throws CorruptInputException {
        if (missing != Missing.MAKE_OVER_LOWER) {
            return null;
        }
        if (link.child.layer() == layer) {
            throw new CorruptInputException("its parent " + printable(link.name) + " is not a directory");
        }
        return makeImplied(link.parent, link.name);
    }

    private static void dropTo(Deque<String> rest, int size) {
        while (rest.size() > size) {
            rest.pop();
        }
    }

    private Directory makeImplied(Directory parent, String name) throws CorruptInputException {
        Directory made = newDirectory(parent, Attributes.IMPLIED_DIRECTORY);
        put(parent, name, made);
        return made;
    }

    private void count(long more) throws CorruptInputException {
        if (more > stepLimit - steps) {
            throw new CorruptInputException(
                    "the paths, symbolic links and whiteouts of the layers take more than %d steps to follow"
                            .formatted(stepLimit));
        }
        steps += more;
    }

    /** The components of an entry's name; a {@code ..} takes back the one before it, at the root it means nothing. */
    private static List<String> cleaned(String name) throws CorruptInputException {
        if (name.length() > RootfsLimits.PATH_BYTES) {
            throw new CorruptInputException("its path has more than %d bytes".formatted(RootfsLimits.PATH_BYTES));
        }
        List<String> cleaned = new ArrayList<>();
        for (String part : parts(name)) {
            if (!part.equals("..")) {
                cleaned.add(checkedName(part));
            } else if (!cleaned.isEmpty()) {
                cleaned.removeLast();
            }
        }
        return cleaned;
    }

    private static String checkedName(String name) throws CorruptInputException {
        if (name.length() > RootfsLimits.NAME_BYTES) {
            throw new CorruptInputException(
                    "its path has a name of more than %d bytes".formatted(RootfsLimits.NAME_BYTES));
        }
        return name;
    }

    private static List<String> parts(String path) {
        List<String> parts = new ArrayList<>();
        int start = 0;
        while (start < path.length()) {
            int slash = path.indexOf('/', start);
            int end = slash < 0 ? path.length() : slash;
            String part = path.substring(start, end);
            if (!part.isEmpty() && !part.equals(".")) {
                parts.add(part);
            }
            start = end + 1;
        }
        return parts;
    }

    /** What is wrong with an entry, with its name. */
    static CorruptInputException at(TarEntry entry, CorruptInputException failure) {
        return new CorruptInputException(printable(entry.name()) + ": " + failure.getMessage(), failure);
    }

    private static String printable(String name) {
        StringBuilder text = new StringBuilder();
        for (char c : name.substring(0, Math.min(name.length(), 200)).toCharArray()) {
            if (c >= ' ' && c < 127) {
                text.append(c);
            } else {
                text.append("\\x%02x".formatted((int) c));
            }
        }
        return text + (name.length() > 200 ? "…" : "");
    }
}
