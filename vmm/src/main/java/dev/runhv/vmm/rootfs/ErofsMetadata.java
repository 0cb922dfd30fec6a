package dev.runhv.vmm.rootfs;

import dev.runhv.vmm.rootfs.Inode.Directory;
import dev.runhv.vmm.rootfs.Inode.WithContent;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The inodes and directories of a tree, laid out. The order is breadth first, so that what a directory lists lies
 * together.
 */
final class ErofsMetadata {
    /** The first slots stay empty: number 0 is no inode to many programs. */
    private static final int FIRST_OFFSET = Erofs.INODE_BYTES;

    /** Numbered from 1 in this order. */
    private final List<Inode> all = new ArrayList<>();

    private boolean chunks;
    /** Of the inodes. */
    private long inodeBytes;

    private ErofsMetadata() {}

    /** @param tree is written once */
    static ErofsMetadata of(RootTree tree) {
        ErofsMetadata metadata = new ErofsMetadata();
        metadata.collect(tree.root());
        metadata.place();
        return metadata;
    }

    long rootNid() {
        return all.getFirst().slot();
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
        for (Inode inode : all) {
            if (inode instanceof WithContent made) {
                bytes += Erofs.roundUp(made.bytesInFront(), Erofs.BLOCK);
            }
        }
        return Math.toIntExact(bytes >> Erofs.BLOCK_BITS);
    }

    private void collect(Directory root) {
        add(root);
        root.addLink();
        for (int i = 0; i < all.size(); i++) {
            if (all.get(i) instanceof Directory directory) {
                for (String name : names(directory)) {
                    Inode child = directory.children().get(name).inode();
                    add(child);
                    if (child instanceof Directory) {
                        child.addLink();
                        directory.addLink();
                    }
                }
            }
        }
    }

    private void add(Inode inode) {
        if (inode.links() == 0) {
            all.add(inode);
        }
        inode.addLink();
    }

    private void place() {
        long offset = FIRST_OFFSET;
        for (Inode inode : all) {
            int head = Erofs.INODE_BYTES + ErofsXattrs.size(inode.attributes().xattrs());
            long size = head;
            offset = Erofs.roundUp(offset, Erofs.SLOT);
            switch (inode) {
                case WithContent made -> {
                    int bytes = contentBytes(made);
                    offset = placeContent(made, bytes, head, offset);
                    size += made.inline() ? bytes % Erofs.BLOCK : 0;
                }
                case Inode.RegularFile file -> {
                    if (file.data() instanceof FileData.Chunked chunked) {
                        size += 4L * chunked.blocks().length;
                        chunks = true;
                    }
                }
                case Inode.Special ignored -> {}
            }
            inode.setSlot(Math.toIntExact(offset >> Erofs.SLOT_BITS));
            offset += size;
        }
        inodeBytes = offset;
    }

    private static int contentBytes(WithContent inode) {
        return switch (inode) {
            case Directory directory -> new DirectoryLayout(directory).bytes();
            case Inode.SymbolicLink link -> link.target().length();
        };
    }

    /** Decides whether the last, partial block of the content follows the inode: it must not cross a block there. */
    private static long placeContent(WithContent inode, int bytes, int head, long offset) {
        int tail = bytes % Erofs.BLOCK;
        inode.setContent(bytes, tail > 0 && head % Erofs.BLOCK + tail <= Erofs.BLOCK);
        if (!inode.inline()) {
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
        for (Inode inode : all) {
            if (inode instanceof WithContent made && made.bytesInFront() > 0) {
                made.setStartBlock(out.block());
                out.write(content(made), 0, made.bytesInFront());
                out.align();
            }
        }
    }

    /** @param firstDataBlock from where the blocks of files' content are counted */
    void writeInodes(ImageOutput out, int firstDataBlock) throws IOException {
        long start = out.position();
        ByteBuffer head = ByteBuffer.allocate(Erofs.INODE_BYTES + 4 * 0xffff).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < all.size(); i++) {
            Inode inode = all.get(i);
            out.zerosUntil(start + ((long) inode.slot() << Erofs.SLOT_BITS));
            Arrays.fill(head.array(), 0, Erofs.INODE_BYTES, (byte) 0);
            head.clear();
            writeInode(inode, i + 1, firstDataBlock, head);
            out.write(head.flip());
            if (inode instanceof WithContent made && made.inline()) {
                int tail = made.contentBytes() % Erofs.BLOCK;
                out.write(content(made), made.contentBytes() - tail, tail);
            }
            if (inode instanceof Inode.RegularFile file && file.data() instanceof FileData.Chunked chunked) {
                ByteBuffer map =
                        ByteBuffer.allocate(4 * chunked.blocks().length).order(ByteOrder.LITTLE_ENDIAN);
                for (int block : chunked.blocks()) {
                    map.putInt(block == FileData.Chunked.HOLE ? block : firstDataBlock + block);
                }
                out.write(map.flip());
            }
        }
    }

    private static void writeInode(Inode inode, int number, int firstDataBlock, ByteBuffer out) {
        Attributes attributes = inode.attributes();
        int layout = Erofs.LAYOUT_FLAT_PLAIN;
        long size = 0;
        int union = 0;
        switch (inode) {
            case WithContent made -> {
                layout = made.inline() ? Erofs.LAYOUT_FLAT_INLINE : Erofs.LAYOUT_FLAT_PLAIN;
                size = made.contentBytes();
                union = made.startBlock();
            }
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
        out.putShort((short) (inode.kindOf().modeBits() | attributes.mode()));
        out.putShort((short) 0);
        out.putLong(size);
        out.putInt(union);
        out.putInt(number);
        out.putInt(attributes.uid());
        out.putInt(attributes.gid());
        out.putLong(attributes.mtimeSeconds());
        out.putInt(attributes.mtimeNanos());
        out.putInt(inode.links());
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

    private static byte[] content(WithContent inode) {
        return switch (inode) {
            case Directory directory -> new DirectoryLayout(directory).write();
            case Inode.SymbolicLink link -> link.target().getBytes(StandardCharsets.ISO_8859_1);
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
    private static final class DirectoryLayout {
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
                    out.putLong(inode.slot());
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
