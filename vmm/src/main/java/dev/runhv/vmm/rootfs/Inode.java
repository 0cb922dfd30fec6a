package dev.runhv.vmm.rootfs;

import java.util.HashMap;
import java.util.Map;

/**
 * A file of any kind, apart from its names: hard links are several names of one inode. Whoever writes the tree keeps here
 * where he puts it, since a million of these are in memory.
 */
abstract sealed class Inode {
    private Attributes attributes;
    /** As they are written; 0 before the tree is. */
    private int links;

    private int slot;

    Inode(Attributes attributes) {
        this.attributes = attributes;
    }

    Attributes attributes() {
        return attributes;
    }

    void setAttributes(Attributes attributes) {
        this.attributes = attributes;
    }

    int links() {
        return links;
    }

    void addLink() {
        links++;
    }

    /** Where it is written, in units of {@link Erofs#SLOT}. */
    int slot() {
        return slot;
    }

    void setSlot(int slot) {
        this.slot = slot;
    }

    /** What has content that is made where it is written. */
    abstract static sealed class WithContent extends Inode {
        private int contentBytes;
        private boolean inline;
        private int startBlock;

        WithContent(Attributes attributes) {
            super(attributes);
        }

        int contentBytes() {
            return contentBytes;
        }

        /** Whether the last, partial block follows the inode. */
        boolean inline() {
            return inline;
        }

        void setContent(int contentBytes, boolean inline) {
            this.contentBytes = contentBytes;
            this.inline = inline;
        }

        /** How much of the content lies in blocks in front of the inodes. */
        int bytesInFront() {
            return inline ? contentBytes - contentBytes % Erofs.BLOCK : contentBytes;
        }

        /** Of the bytes in front. */
        int startBlock() {
            return startBlock;
        }

        void setStartBlock(int startBlock) {
            this.startBlock = startBlock;
        }
    }

    static final class RegularFile extends Inode {
        private final FileData data;

        RegularFile(Attributes attributes, FileData data) {
            super(attributes);
            this.data = data;
        }

        FileData data() {
            return data;
        }
    }

    static final class SymbolicLink extends WithContent {
        private final String target;

        SymbolicLink(Attributes attributes, String target) {
            super(attributes);
            this.target = target;
        }

        String target() {
            return target;
        }
    }

    /** A device node, or a FIFO, which has no number. */
    static final class Special extends Inode {
        private final Kind kind;
        private final int major;
        private final int minor;

        Special(Attributes attributes, Kind kind, int major, int minor) {
            super(attributes);
            this.kind = kind;
            this.major = major;
            this.minor = minor;
        }

        Kind kind() {
            return kind;
        }

        int major() {
            return major;
        }

        int minor() {
            return minor;
        }
    }

    /** A name in a directory, and the layer that put it there. */
    record Child(Inode inode, int layer) {}

    static final class Directory extends WithContent {
        private final Map<String, Child> children = new HashMap<>(4);
        private final Directory parent;
        private final int depth;

        /** A directory in another one. */
        Directory(Attributes attributes, Directory parent) {
            super(attributes);
            this.parent = parent;
            this.depth = parent.depth + 1;
        }

        /** A root. */
        Directory(Attributes attributes) {
            super(attributes);
            this.parent = this;
            this.depth = 0;
        }

        Map<String, Child> children() {
            return children;
        }

        /** The root is its own parent. */
        Directory parent() {
            return parent;
        }

        int depth() {
            return depth;
        }
    }

    /** What an inode is. */
    enum Kind {
        REGULAR(0100000, 1),
        DIRECTORY(0040000, 2),
        CHARACTER_DEVICE(0020000, 3),
        BLOCK_DEVICE(0060000, 4),
        FIFO(0010000, 5),
        SYMBOLIC_LINK(0120000, 7);

        private final int modeBits;
        private final int directoryType;

        Kind(int modeBits, int directoryType) {
            this.modeBits = modeBits;
            this.directoryType = directoryType;
        }

        /** The type's part of st_mode. */
        int modeBits() {
            return modeBits;
        }

        /** FT_* as in the entries of a directory. */
        int directoryType() {
            return directoryType;
        }
    }

    Kind kindOf() {
        return switch (this) {
            case RegularFile ignored -> Kind.REGULAR;
            case Directory ignored -> Kind.DIRECTORY;
            case SymbolicLink ignored -> Kind.SYMBOLIC_LINK;
            case Special special -> special.kind;
        };
    }
}
