package dev.runhv.vmm.rootfs;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.BlockInputStream;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Failures;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;

/**
 * Looks into an uncompressed EROFS image. Nothing in the image is believed: every number is checked before it is used, so
 * that a damaged or hostile image gives an {@link RunhvException} and nothing else. Names are byte strings, see the
 * package. Not for several threads.
 */
public final class ErofsReader implements Closeable {
    private static final int SYMBOLIC_LINKS = 40;
    /** Read at once of a file that is read from its start to its end. */
    private static final int PIECE = 1 << 18;

    private static final int TYPE_MASK = 0170000;

    private final Path path;
    private final ImageParts file;
    private final long size;
    private final long blocks;
    private final long metaStart;
    private final long rootNid;
    private final long sharedXattrs;

    private ErofsReader(Path path, ImageParts file) throws IOException {
        this.path = path;
        this.file = file;
        this.size = file.size();
        ByteBuffer sb = bytes(Erofs.SUPERBLOCK_OFFSET, Erofs.BLOCK - Erofs.SUPERBLOCK_OFFSET);
        if (sb.getInt(Erofs.SB_MAGIC) != Erofs.MAGIC) {
            throw new CorruptInputException("it is no EROFS image");
        }
        int incompatible = sb.getInt(Erofs.SB_FEATURE_INCOMPAT) & ~Erofs.INCOMPAT_CHUNKED_FILE;
        if (sb.get(Erofs.SB_BLOCK_BITS) != Erofs.BLOCK_BITS
                || sb.get(Erofs.SB_DIRECTORY_BLOCK_BITS) != 0
                || incompatible != 0) {
            throw new CorruptInputException("it is an EROFS image with blocks or features that are not read here (0x%x)"
                    .formatted(incompatible));
        }
        if ((sb.getInt(Erofs.SB_FEATURE_COMPAT) & Erofs.COMPAT_CHECKSUM) != 0
                && sb.getInt(Erofs.SB_CHECKSUM) != ErofsWriter.checksum(sb)) {
            throw new CorruptInputException("the checksum of its superblock does not match");
        }
        this.blocks = Integer.toUnsignedLong(sb.getInt(Erofs.SB_BLOCKS));
        this.metaStart = Integer.toUnsignedLong(sb.getInt(Erofs.SB_META_BLOCK)) << Erofs.BLOCK_BITS;
        this.sharedXattrs = Integer.toUnsignedLong(sb.getInt(Erofs.SB_XATTR_BLOCK)) << Erofs.BLOCK_BITS;
        this.rootNid = Short.toUnsignedLong(sb.getShort(Erofs.SB_ROOT_NID));
    }

    /** Opens an image of one file. */
    static ErofsReader open(Path image) {
        return open(image, List.of());
    }

    /**
     * @param layers files that are the rest of the image, in this order
     * @throws RunhvException when there is no such image, or it is damaged
     */
    static ErofsReader open(Path image, List<Path> layers) {
        try {
            List<Path> parts = new ArrayList<>(List.of(image));
            parts.addAll(layers);
            ImageParts file = new ImageParts(parts);
            try {
                return new ErofsReader(image, file);
            } catch (IOException e) {
                file.close();
                throw e;
            }
        } catch (IOException e) {
            throw Failures.of("read root file system " + image, e);
        }
    }

    /** Whether the image has all the blocks that its superblock counts. */
    boolean isComplete() {
        return size == blocks << Erofs.BLOCK_BITS;
    }

    /**
     * The content of a regular file; symbolic links on the way are followed inside the image.
     *
     * @param file an absolute path, such as {@code /etc/passwd}
     * @param limit of the content's bytes
     * @return null where there is no such file, or the links on the way to it have no end
     * @throws RunhvException when it is no regular file, has more bytes than the limit, or the image is damaged
     */
    public byte[] readFile(String file, int limit) {
        String operation = operation(file);
        try {
            ErofsInode inode = find(bytesOf(file));
            if (inode == null) {
                return null;
            }
            requireRegular(operation, inode);
            if (inode.size() > limit) {
                throw Failures.corrupt(operation, "It has more than %d bytes".formatted(limit));
            }
            return content(inode, 0, (int) inode.size());
        } catch (IOException e) {
            throw failure(operation, e);
        }
    }

    /**
     * Opens a regular file; symbolic links on the way are followed inside the image.
     *
     * @param file an absolute path, such as {@code /etc/passwd}
     * @return its content, which is read by one thread; closing it closes this, too
     * @throws RunhvException when there is no such file, it is no regular one, or the image is damaged
     */
    public InputStream openFile(String file) {
        String operation = operation(file);
        try {
            ErofsInode inode = find(bytesOf(file));
            if (inode == null) {
                throw Failures.notFound(operation, "There is no such file in the image");
            }
            requireRegular(operation, inode);
            return new Content(inode);
        } catch (IOException e) {
            throw failure(operation, e);
        }
    }

    private final class Content extends BlockInputStream {
        private final ErofsInode inode;
        private long position;

        Content(ErofsInode inode) {
            this.inode = inode;
        }

        @Override
        public int read(byte[] buffer, int offset, int length) throws IOException {
            int count = (int) Math.min(Math.min(length, PIECE), inode.size() - position);
            if (count == 0) {
                return length == 0 ? 0 : -1;
            }
            System.arraycopy(content(inode, position, count), 0, buffer, offset, count);
            position += count;
            return count;
        }

        @Override
        public void close() {
            ErofsReader.this.close();
        }
    }

    private String operation(String file) {
        return "read " + file + " in root file system " + path;
    }

    private static void requireRegular(String operation, ErofsInode inode) {
        if (!inode.isRegular()) {
            throw Failures.invalid(operation, "It is not a regular file");
        }
    }

    private RunhvException failure(String operation, IOException cause) {
        // Its makers saw to it that it was whole: something has written to it since.
        return cause instanceof CorruptInputException
                ? Failures.corrupt(operation, cause.getMessage() + ": delete " + path + ", and it is made again")
                : Failures.of(operation, cause);
    }

    /** Is shown what a file system holds. */
    interface Visitor {
        /** @param file absolute path as a byte string; the root is {@code /} */
        void visit(String file, ErofsInode inode) throws IOException;
    }

    /** Shows every name once, each directory before what it holds. */
    void walk(Visitor visitor) throws IOException {
        record Step(String path, long nid, int depth) {}
        Deque<Step> rest = new ArrayDeque<>();
        rest.push(new Step("", rootNid, 0));
        long seen = 0;
        while (!rest.isEmpty()) {
            Step step = rest.pop();
            // A directory that holds itself would go on for ever.
            if (seen++ > RootfsLimits.ENTRIES || step.depth > RootfsLimits.DEPTH) {
                throw new CorruptInputException("its directories are too many, or contain each other");
            }
            ErofsInode inode = inode(step.nid);
            visitor.visit(step.path.isEmpty() ? "/" : step.path, inode);
            if (inode.isDirectory()) {
                for (Map.Entry<String, Long> child : list(inode).entrySet()) {
                    rest.push(new Step(step.path + "/" + child.getKey(), child.getValue(), step.depth + 1));
                }
            }
        }
    }

    ErofsInode inode(long nid) throws IOException {
        if (nid < 0 || nid > size >> Erofs.SLOT_BITS) {
            throw new CorruptInputException("it has no inode " + nid);
        }
        long offset = metaStart + (nid << Erofs.SLOT_BITS);
        ByteBuffer head = bytes(offset, Erofs.COMPACT_INODE_BYTES);
        int format = Short.toUnsignedInt(head.getShort(0));
        boolean extended = (format & 1) != 0;
        int layout = format >> 1 & 7;
        if (format >> 4 != 0
                || layout != Erofs.LAYOUT_FLAT_PLAIN
                        && layout != Erofs.LAYOUT_FLAT_INLINE
                        && layout != Erofs.LAYOUT_CHUNK_BASED) {
            throw new CorruptInputException("inode %d has a layout that is not read here".formatted(nid));
        }
        if (extended) {
            head = bytes(offset, Erofs.INODE_BYTES);
        }
        int xattrBytes = ErofsXattrs.sizeOfCount(Short.toUnsignedInt(head.getShort(2)));
        long xattrStart = offset + (extended ? Erofs.INODE_BYTES : Erofs.COMPACT_INODE_BYTES);
        ErofsInode inode = new ErofsInode(
                nid,
                Short.toUnsignedInt(head.getShort(4)),
                extended ? head.getLong(8) : Integer.toUnsignedLong(head.getInt(8)),
                head.getInt(16),
                extended ? Integer.toUnsignedLong(head.getInt(24)) : Short.toUnsignedLong(head.getShort(24)),
                extended ? Integer.toUnsignedLong(head.getInt(28)) : Short.toUnsignedLong(head.getShort(26)),
                extended ? head.getLong(32) : 0,
                extended ? head.getInt(40) : 0,
                extended ? Integer.toUnsignedLong(head.getInt(44)) : Short.toUnsignedLong(head.getShort(6)),
                layout,
                xattrStart,
                xattrBytes);
        if (inode.size() < 0 || inode.size() > RootfsLimits.FILE_BYTES) {
            throw new CorruptInputException("inode %d has an impossible size".formatted(nid));
        }
        return inode;
    }

    /** The entries of a directory without itself and its parent, by name. */
    Map<String, Long> list(ErofsInode directory) throws IOException {
        Map<String, Long> entries = new TreeMap<>();
        for (long start = 0; start < directory.size(); start += Erofs.BLOCK) {
            entries.putAll(directoryBlock(directory, start));
            if (entries.size() > RootfsLimits.ENTRIES) {
                throw damaged(directory);
            }
        }
        entries.remove(".");
        entries.remove("..");
        return entries;
    }

    /**
     * One entry of a directory, null where there is none. Its blocks are in order, and are searched by halves: a path with
     * many links through directories with many files must not cost its product.
     */
    Long lookUp(ErofsInode directory, String name) throws IOException {
        long low = 0;
        long high = (directory.size() + Erofs.BLOCK - 1) / Erofs.BLOCK - 1;
        while (low <= high) {
            long middle = (low + high) / 2;
            NavigableMap<String, Long> block = directoryBlock(directory, middle * Erofs.BLOCK);
            if (name.compareTo(block.firstKey()) < 0) {
                high = middle - 1;
            } else if (name.compareTo(block.lastKey()) > 0) {
                low = middle + 1;
            } else {
                return block.get(name);
            }
        }
        return null;
    }

    /** What one block of a directory holds, by name; never empty. */
    private NavigableMap<String, Long> directoryBlock(ErofsInode directory, long start) throws IOException {
        NavigableMap<String, Long> entries = new TreeMap<>();
        int length = (int) Math.min(Erofs.BLOCK, directory.size() - start);
        ByteBuffer block = ByteBuffer.wrap(content(directory, start, length)).order(ByteOrder.LITTLE_ENDIAN);
        int namesStart = length < Erofs.DIRECTORY_ENTRY_BYTES ? 0 : Short.toUnsignedInt(block.getShort(8));
        if (namesStart == 0 || namesStart % Erofs.DIRECTORY_ENTRY_BYTES != 0 || namesStart > length) {
            throw damaged(directory);
        }
        for (int at = 0; at < namesStart; at += Erofs.DIRECTORY_ENTRY_BYTES) {
            int nameStart = Short.toUnsignedInt(block.getShort(at + 8));
            int next = at + Erofs.DIRECTORY_ENTRY_BYTES;
            int nameEnd = next < namesStart ? Short.toUnsignedInt(block.getShort(next + 8)) : length;
            if (nameStart < namesStart || nameEnd > length || nameStart >= nameEnd) {
                throw damaged(directory);
            }
            String name = name(block.array(), nameStart, nameEnd);
            if (name.isEmpty() || name.length() > RootfsLimits.NAME_BYTES || name.indexOf('/') >= 0) {
                throw damaged(directory);
            }
            entries.put(name, block.getLong(at));
        }
        return entries;
    }

    /** The target of a symbolic link. */
    String target(ErofsInode link) throws IOException {
        if (link.size() >= RootfsLimits.PATH_BYTES) {
            throw damaged(link);
        }
        return new String(content(link, 0, (int) link.size()), StandardCharsets.ISO_8859_1);
    }

    /** A part of a file's content, which must lie inside it. */
    byte[] content(ErofsInode inode, long offset, int length) throws IOException {
        ByteBuffer content = ByteBuffer.allocate(length);
        while (content.hasRemaining()) {
            long at = offset + content.position();
            long place;
            long available;
            if (inode.layout() == Erofs.LAYOUT_CHUNK_BASED) {
                int format = inode.union();
                int shift = Erofs.BLOCK_BITS + (format & Erofs.CHUNK_BITS_MASK);
                boolean indexes = (format & Erofs.CHUNK_INDEXES) != 0;
                long chunk = at >> shift;
                long map = Erofs.roundUp(inode.xattrStart() + inode.xattrBytes(), indexes ? 8 : 4);
                int block = bytes(map + chunk * (indexes ? 8 : 4) + (indexes ? 4 : 0), 4)
                        .getInt(0);
                long inChunk = at - (chunk << shift);
                available = (1L << shift) - inChunk;
                place = block == FileData.Chunked.HOLE
                        ? -1
                        : (Integer.toUnsignedLong(block) << Erofs.BLOCK_BITS) + inChunk;
            } else {
                long tailStart = inode.layout() == Erofs.LAYOUT_FLAT_INLINE
                        ? inode.size() - inode.size() % Erofs.BLOCK
                        : inode.size();
                boolean tail = at >= tailStart;
                place = tail
                        ? inode.xattrStart() + inode.xattrBytes() + at - tailStart
                        : (Integer.toUnsignedLong(inode.union()) << Erofs.BLOCK_BITS) + at;
                available = tail ? inode.size() - at : tailStart - at;
            }
            int count = (int) Math.min(available, content.remaining());
            if (count <= 0) {
                throw damaged(inode);
            }
            if (place < 0) {
                content.position(content.position() + count);
            } else {
                content.put(bytes(place, count));
            }
        }
        return content.array();
    }

    /** The extended attributes by their full names. */
    Map<String, byte[]> xattrs(ErofsInode inode) throws IOException {
        Map<String, byte[]> xattrs = new TreeMap<>();
        if (inode.xattrBytes() == 0) {
            return xattrs;
        }
        ByteBuffer area = bytes(inode.xattrStart(), inode.xattrBytes());
        int at = Erofs.XATTR_HEADER_BYTES;
        for (int shared = area.get(4) & 0xff; shared > 0; shared--, at += 4) {
            if (at + 4 > inode.xattrBytes()) {
                throw damaged(inode);
            }
            long place = sharedXattrs + Integer.toUnsignedLong(area.getInt(at)) * 4;
            ByteBuffer entry = bytes(place, Erofs.XATTR_ENTRY_BYTES);
            putXattr(xattrs, bytes(place, entrySize(entry, 0)), 0, inode);
        }
        while (at < inode.xattrBytes()) {
            if (at + Erofs.XATTR_ENTRY_BYTES > inode.xattrBytes() || at + entrySize(area, at) > inode.xattrBytes()) {
                throw damaged(inode);
            }
            putXattr(xattrs, area, at, inode);
            at += entrySize(area, at);
        }
        return xattrs;
    }

    private static int entrySize(ByteBuffer area, int at) {
        return ErofsXattrs.entrySize(area.get(at) & 0xff, Short.toUnsignedInt(area.getShort(at + 2)));
    }

    private static void putXattr(Map<String, byte[]> xattrs, ByteBuffer area, int at, ErofsInode inode)
            throws IOException {
        String prefix = ErofsXattrs.prefixText(area.get(at + 1) & 0xff);
        if (prefix.isEmpty()) {
            throw damaged(inode);
        }
        byte[] name = new byte[area.get(at) & 0xff];
        byte[] value = new byte[Short.toUnsignedInt(area.getShort(at + 2))];
        area.get(at + Erofs.XATTR_ENTRY_BYTES, name);
        area.get(at + Erofs.XATTR_ENTRY_BYTES + name.length, value);
        xattrs.put(prefix + new String(name, StandardCharsets.ISO_8859_1), value);
    }

    /** The inode a path leads to, through symbolic links; null where there is none. */
    private ErofsInode find(String file) throws IOException {
        Deque<String> rest = new ArrayDeque<>();
        pushParts(rest, file);
        Deque<ErofsInode> parents = new ArrayDeque<>();
        ErofsInode root = inode(rootNid);
        ErofsInode at = root;
        int links = 0;
        while (!rest.isEmpty()) {
            String name = rest.pop();
            if (name.equals("..")) {
                at = parents.isEmpty() ? root : parents.pop();
                continue;
            }
            Long nid = at.isDirectory() ? lookUp(at, name) : null;
            if (nid == null) {
                return null;
            }
            ErofsInode child = inode(nid);
            if (child.isSymbolicLink()) {
                if (++links > SYMBOLIC_LINKS) {
                    return null;
                }
                String target = target(child);
                if (target.startsWith("/")) {
                    parents.clear();
                    at = root;
                }
                pushParts(rest, target);
            } else {
                parents.push(at);
                at = child;
            }
        }
        return at;
    }

    private static void pushParts(Deque<String> rest, String path) {
        String[] parts = path.split("/");
        for (int i = parts.length - 1; i >= 0; i--) {
            if (!parts[i].isEmpty() && !parts[i].equals(".")) {
                rest.push(parts[i]);
            }
        }
    }

    private static String bytesOf(String text) {
        return new String(text.getBytes(StandardCharsets.UTF_8), StandardCharsets.ISO_8859_1);
    }

    private static String name(byte[] block, int start, int end) {
        int nul = start;
        while (nul < end && block[nul] != 0) {
            nul++;
        }
        return new String(block, start, nul - start, StandardCharsets.ISO_8859_1);
    }

    private ByteBuffer bytes(long offset, int length) throws IOException {
        if (offset < 0 || offset > size - length) {
            throw new CorruptInputException("it points to a place behind its end");
        }
        byte[] bytes = new byte[length];
        for (int filled = 0; filled < length; ) {
            int count = file.read(bytes, filled, length - filled, offset + filled);
            if (count < 0) {
                throw new CorruptInputException("it ends too early: it is truncated");
            }
            filled += count;
        }
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static CorruptInputException damaged(ErofsInode inode) {
        return new CorruptInputException("inode %d is damaged".formatted(inode.nid()));
    }

    @Override
    public void close() {
        try {
            file.close();
        } catch (IOException e) {
            throw Failures.of("close root file system " + path, e);
        }
    }

    /**
     * One inode as it lies in the image.
     *
     * @param mode with the type's bits
     * @param union by type: first block, device number, or format of the chunk map
     * @param xattrStart where the attributes begin in the image; the tail or the map follow them
     */
    record ErofsInode(
            long nid,
            int mode,
            long size,
            int union,
            long uid,
            long gid,
            long mtimeSeconds,
            int mtimeNanos,
            long links,
            int layout,
            long xattrStart,
            int xattrBytes) {
        boolean isRegular() {
            return (mode & TYPE_MASK) == Inode.Kind.REGULAR.modeBits();
        }

        boolean isDirectory() {
            return (mode & TYPE_MASK) == Inode.Kind.DIRECTORY.modeBits();
        }

        boolean isSymbolicLink() {
            return (mode & TYPE_MASK) == Inode.Kind.SYMBOLIC_LINK.modeBits();
        }
    }
}
