package dev.runhv.vmm.rootfs;

import dev.runhv.vmm.rootfs.Inode.Directory;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * The inodes and directories of a tree, laid out. The order is breadth first, so that what a directory lists lies
 * together.
 */
final class ErofsMetadata {
    /** The first slots stay empty: number 0 is no inode to many programs. */
    private static final int FIRST_OFFSET = Erofs.INODE_BYTES;

    /** An inode with its place. */
    private static final class Placed {
        private final Inode inode;
        private final int number;
        private int links;
        private long offset;
        private boolean inline;
        /** Of a directory or symbolic link. */
        private int contentBytes;

        private int startBlock;

        private Placed(Inode inode, int number) {
            this.inode = inode;
            this.number = number;
        }

        private long nid() {
            return offset >> Erofs.SLOT_BITS;
        }

        /** Of its content: what lies in blocks in front of the inodes. */
        private int bytesInFront() {
            return inline ? contentBytes - contentBytes % Erofs.BLOCK : contentBytes;
        }
    }

    private final Map<Inode, Placed> byInode = new IdentityHashMap<>();
    private final List<Placed> all = new ArrayList<>();
    private boolean chunks;
    /** Of the inodes. */
    private long inodeBytes;

    private ErofsMetadata() {}

    static ErofsMetadata of(RootTree tree) {
        ErofsMetadata metadata = new ErofsMetadata();
        metadata.collect(tree.root());
        metadata.place();
        return metadata;
    }

    long rootNid() {
        return all.getFirst().nid();
    }

    int inodes() {
        return all.size();
    }

    /** Whether some file's content lies in chunks. */
    boolean hasChunks() {
        return chunks;
    }

    /** How many blocks the directories and inodes take. */
    int blocks() {
        long bytes = Erofs.roundUp(inodeBytes, Erofs.BLOCK);
        for (Placed placed : all) {
            bytes += Erofs.roundUp(placed.bytesInFront(), Erofs.BLOCK);
        }
        return Math.toIntExact(bytes >> Erofs.BLOCK_BITS);
    }

    private void collect(Directory root) {
        placed(root).links = 2;
        for (int i = 0; i < all.size(); i++) {
            if (all.get(i).inode instanceof Directory directory) {
                for (String name : names(directory)) {
                    Inode child = directory.children().get(name).inode();
                    Placed placed = placed(child);
                    if (child instanceof Directory) {
                        placed.links = 2;
                        all.get(i).links++;
                    } else {
                        placed.links++;
                    }
                }
            }
        }
    }

    private Placed placed(Inode inode) {
        return byInode.computeIfAbsent(inode, missing -> {
            Placed placed = new Placed(missing, all.size() + 1);
            all.add(placed);
            return placed;
        });
    }

    private void place() {
        long offset = FIRST_OFFSET;
        for (Placed placed : all) {
            int head = Erofs.INODE_BYTES
                    + ErofsXattrs.size(placed.inode.attributes().xattrs());
            long size = head;
            offset = Erofs.roundUp(offset, Erofs.SLOT);
            switch (placed.inode) {
                case Directory directory -> {
                    placed.contentBytes = new DirectoryLayout(directory).bytes();
                    offset = placeContent(placed, head, offset);
                    size += placed.inline ? placed.contentBytes % Erofs.BLOCK : 0;
                }
                case Inode.SymbolicLink link -> {
                    placed.contentBytes = link.target().length();
                    offset = placeContent(placed, head, offset);
                    size += placed.inline ? placed.contentBytes % Erofs.BLOCK : 0;
                }
                case Inode.RegularFile file -> {
                    if (file.data() instanceof FileData.Chunked chunked) {
                        size += 4L * chunked.blocks().length;
                        chunks = true;
                    }
                }
                case Inode.Special ignored -> {}
            }
            placed.offset = offset;
            offset += size;
        }
        inodeBytes = offset;
    }

    /** Decides whether the last, partial block of the content follows the inode: it must not cross a block there. */
    private static long placeContent(Placed placed, int head, long offset) {
        int tail = placed.contentBytes % Erofs.BLOCK;
        placed.inline = tail > 0 && head % Erofs.BLOCK + tail <= Erofs.BLOCK;
        if (!placed.inline) {
            return offset;
        }
        long tailStart = (offset + head) % Erofs.BLOCK;
        if (tailStart + tail <= Erofs.BLOCK) {
            return offset;
        }
        // The start of the next block that leaves the tail in one piece.
        return Erofs.roundUp(offset, Erofs.BLOCK);
    }

    /** Writes the whole blocks of directories and long links; the inodes come after them. */
    void writeDirectoryBlocks(ImageOutput out) throws IOException {
        for (Placed placed : all) {
            if (placed.bytesInFront() > 0) {
                placed.startBlock = out.block();
                out.write(content(placed), 0, placed.bytesInFront());
                out.align();
            }
        }
    }

    /** @param firstDataBlock from where the blocks of files' content are counted */
    void writeInodes(ImageOutput out, int firstDataBlock) throws IOException {
        long start = out.position();
        ByteBuffer head = ByteBuffer.allocate(Erofs.INODE_BYTES + 4 * 0xffff).order(ByteOrder.LITTLE_ENDIAN);
        for (Placed placed : all) {
            out.zerosUntil(start + placed.offset);
            Arrays.fill(head.array(), 0, Erofs.INODE_BYTES, (byte) 0);
            head.clear();
            writeInode(placed, firstDataBlock, head);
            out.write(head.flip());
            if (placed.inline) {
                int tail = placed.contentBytes % Erofs.BLOCK;
                out.write(content(placed), placed.contentBytes - tail, tail);
            }
            if (placed.inode instanceof Inode.RegularFile file && file.data() instanceof FileData.Chunked chunked) {
                ByteBuffer map =
                        ByteBuffer.allocate(4 * chunked.blocks().length).order(ByteOrder.LITTLE_ENDIAN);
                for (int block : chunked.blocks()) {
                    map.putInt(block == FileData.Chunked.HOLE ? block : firstDataBlock + block);
                }
                out.write(map.flip());
            }
        }
    }

    private void writeInode(Placed placed, int firstDataBlock, ByteBuffer out) {
        Attributes attributes = placed.inode.attributes();
        int layout = placed.inline ? Erofs.LAYOUT_FLAT_INLINE : Erofs.LAYOUT_FLAT_PLAIN;
        long size = placed.contentBytes;
        int union = placed.startBlock;
        switch (placed.inode) {
            case Directory ignored -> {}
            case Inode.SymbolicLink ignored -> {}
            case Inode.RegularFile file -> {
                size = file.data().size();
                switch (file.data()) {
                    case FileData.Flat flat -> union = size == 0 ? 0 : firstDataBlock + flat.startBlock();
                    case FileData.Chunked chunked -> {
                        layout = Erofs.LAYOUT_CHUNK_BASED;
                        union = chunked.chunkBits();
                    }
                }
            }
            case Inode.Special special -> union = deviceNumber(special.major(), special.minor());
        }
        int xattrBytes = ErofsXattrs.size(attributes.xattrs());
        out.putShort((short) (1 | layout << 1));
        out.putShort((short) ErofsXattrs.count(xattrBytes));
        out.putShort((short) (placed.inode.kindOf().modeBits() | attributes.mode()));
        out.putShort((short) 0);
        out.putLong(size);
        out.putInt(union);
        out.putInt(placed.number);
        out.putInt(attributes.uid());
        out.putInt(attributes.gid());
        out.putLong(attributes.mtimeSeconds());
        out.putInt(attributes.mtimeNanos());
        out.putInt(placed.links);
        out.position(Erofs.INODE_BYTES);
        if (xattrBytes > 0) {
            Arrays.fill(out.array(), Erofs.INODE_BYTES, Erofs.INODE_BYTES + xattrBytes, (byte) 0);
            ErofsXattrs.write(attributes.xattrs(), out);
        }
    }

    /** As Linux encodes device numbers for file systems: 12 bits of major between the low and high bits of minor. */
    private static int deviceNumber(int major, int minor) {
        return minor & 0xff | major << 8 | (minor & ~0xff) << 12;
    }

    private byte[] content(Placed placed) {
        return switch (placed.inode) {
            case Directory directory -> new DirectoryLayout(directory).write();
            case Inode.SymbolicLink link -> link.target().getBytes(StandardCharsets.ISO_8859_1);
            case Inode.RegularFile _ -> throw new IllegalArgumentException("The data of a file is in place");
            case Inode.Special _ -> throw new IllegalArgumentException("A device has no data");
        };
    }

    private static String[] names(Directory directory) {
        String[] names = directory.children().keySet().toArray(String[]::new);
        Arrays.sort(names);
        return names;
    }

    /**
     * The blocks of a directory: in each, fixed-size entries and behind them their names, all in the order of the names'
     * bytes, with the directory itself and its parent among them.
     */
    private final class DirectoryLayout {
        private final Directory directory;
        private final String[] names;

        private DirectoryLayout(Directory directory) {
            this.directory = directory;
            String[] children = directory.children().keySet().toArray(String[]::new);
            names = Arrays.copyOf(children, children.length + 2);
            names[children.length] = ".";
            names[children.length + 1] = "..";
            Arrays.sort(names);
        }

        /** The index behind the last name of the block that begins with the name at {@code first}. */
        private int blockEnd(int first) {
            int bytes = 0;
            int end = first;
            while (end < names.length && bytes + Erofs.DIRECTORY_ENTRY_BYTES + names[end].length() <= Erofs.BLOCK) {
                bytes += Erofs.DIRECTORY_ENTRY_BYTES + names[end].length();
                end++;
            }
            return end;
        }

        private int usedBytes(int first, int end) {
            int bytes = 0;
            for (int i = first; i < end; i++) {
                bytes += Erofs.DIRECTORY_ENTRY_BYTES + names[i].length();
            }
            return bytes;
        }

        private int bytes() {
            long whole = 0;
            int first = 0;
            while (true) {
                int end = blockEnd(first);
                if (end == names.length) {
                    return Math.toIntExact(whole + usedBytes(first, end));
                }
                whole += Erofs.BLOCK;
                first = end;
            }
        }

        private byte[] write() {
            ByteBuffer out = ByteBuffer.allocate(bytes()).order(ByteOrder.LITTLE_ENDIAN);
            int first = 0;
            for (int block = 0; first < names.length; block += Erofs.BLOCK) {
                int end = blockEnd(first);
                out.position(block);
                int nameOffset = Erofs.DIRECTORY_ENTRY_BYTES * (end - first);
                for (int i = first; i < end; i++) {
                    Inode inode = inode(names[i]);
                    out.putLong(byInode.get(inode).nid());
                    out.putShort((short) nameOffset);
                    out.put((byte) inode.kindOf().directoryType());
                    out.put((byte) 0);
                    nameOffset += names[i].length();
                }
                for (int i = first; i < end; i++) {
                    out.put(names[i].getBytes(StandardCharsets.ISO_8859_1));
                }
                first = end;
            }
            return out.array();
        }

        private Inode inode(String name) {
            return switch (name) {
                case "." -> directory;
                case ".." -> directory.parent();
                default -> directory.children().get(name).inode();
            };
        }
    }
}
