package dev.runhv.vmm.content.tar;

import dev.runhv.vmm.content.BlockInputStream;
import dev.runhv.vmm.content.CorruptInputException;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;

/**
 * Reads a tar from front to back. It reads from the stream only what it needs, so that the position is exact, and
 * leaves closing to the owner of the stream. Not for several threads.
 */
public final class TarReader {
    private final InputStream in;
    private final byte[] block = new byte[TarHeader.BLOCK];
    /** Bytes read from the stream so far. */
    private long position;
    /** Stored bytes of the current entry that are still to be read, and what pads them to a block. */
    private long remaining;

    private int padding;

    public TarReader(InputStream in) {
        this.in = in;
    }

    /** How far into the archive the reader is: after {@link #next} the place of the entry's stored data. */
    public long position() {
        return position;
    }

    /** Stored bytes of the current entry that were not read yet. */
    public long remaining() {
        return remaining;
    }

    /**
     * Goes to the next entry, over what was not read of the current one.
     *
     * @return null at the end
     * @throws CorruptInputException when the bytes are no tar that can be read
     * @throws EOFException when the archive ends inside an entry
     */
    public TarEntry next() throws IOException {
        skipFully(remaining);
        remaining = 0;
        if (!skipPadding()) {
            return null;
        }
        PaxRecords pax = PaxRecords.NONE;
        String longName = "";
        String longLink = "";
        int extensions = 0;
        while (readHeader(extensions > 0)) {
            TarHeader header = new TarHeader(block.clone());
            header.check();
            long size = header.number(TarHeader.SIZE, 12, "size");
            if (size < 0) {
                throw new CorruptInputException("a tar header's size is negative");
            }
            checkPadded(size);
            switch (header.type()) {
                case 'x', 'X' -> pax = PaxRecords.parse(readExtension(size, TarLimits.PAX_HEADER_BYTES));
                case 'g' -> skipFully(padded(checkedExtension(size, TarLimits.PAX_HEADER_BYTES)));
                case 'L' -> longName = untilNul(readExtension(size, TarLimits.LONG_NAME_BYTES));
                case 'K' -> longLink = untilNul(readExtension(size, TarLimits.LONG_NAME_BYTES));
                case 'V' -> skipFully(padded(size));
                default -> {
                    return entry(header, size, pax, longName, longLink);
                }
            }
            if (++extensions > TarLimits.EXTENSION_HEADERS) {
                throw new CorruptInputException("a tar has too many extension headers in a row");
            }
        }
        return null;
    }

    /** Reads stored bytes of the current entry; -1 when there are none left. */
    public int read(byte[] buffer, int offset, int length) throws IOException {
        if (remaining == 0) {
            return -1;
        }
        int count = in.read(buffer, offset, (int) Math.min(length, remaining));
        if (count < 0) {
            throw new EOFException();
        }
        position += count;
        remaining -= count;
        return count;
    }

    /** As {@link #read}, without a copy where the stream has the bytes in a block. */
    public int give(int most, BlockInputStream.Taker taker) throws IOException {
        if (remaining == 0) {
            return -1;
        }
        int count = BlockInputStream.give(in, (int) Math.min(most, remaining), taker);
        if (count < 0) {
            throw new EOFException();
        }
        position += count;
        remaining -= count;
        return count;
    }

    private TarEntry entry(TarHeader header, long headerSize, PaxRecords pax, String longName, String longLink)
            throws IOException {
        String name = pax.has("path") ? pax.text("path") : longName.isEmpty() ? header.name() : longName;
        if (pax.has("GNU.sparse.name")) {
            name = pax.text("GNU.sparse.name");
        }
        String link = pax.has("linkpath") ? pax.text("linkpath") : longLink.isEmpty() ? header.linkName() : longLink;
        if (name.isEmpty()) {
            throw new CorruptInputException("a tar entry has no name");
        }
        long stored = pax.number("size", headerSize);
        TarEntry.Type type = type(header.type(), name);
        boolean hasData = type == TarEntry.Type.FILE;
        if (hasData) {
            startData(stored);
        } else if (type == TarEntry.Type.DIRECTORY) {
            // GNU's incremental dumps list the names of a directory here
            startData(stored);
            skipFully(remaining + padding);
            startData(0);
        }
        long size = hasData ? stored : 0;
        Sparse sparse = Sparse.NONE;
        if (header.type() == 'S') {
            size = header.number(483, 12, "real size");
            sparse = oldGnuSparse(size);
        } else if (hasData && isSparse(pax)) {
            size = pax.has("GNU.sparse.realsize")
                    ? pax.number("GNU.sparse.realsize", 0)
                    : pax.number("GNU.sparse.size", 0);
            long[] map = pax.text("GNU.sparse.major").equals("1") ? sparseMapBeforeData() : pax.sparseMap();
            sparse = sparse(map, size);
        }
        if (size < 0) {
            throw new CorruptInputException("a tar header's size is negative");
        }
        long[] mtime = pax.has("mtime")
                ? pax.time("mtime")
                : new long[] {header.number(TarHeader.MTIME, 12, "modification time"), 0};
        boolean device = type == TarEntry.Type.CHARACTER_DEVICE || type == TarEntry.Type.BLOCK_DEVICE;
        return new TarEntry(
                type,
                name,
                type == TarEntry.Type.HARD_LINK || type == TarEntry.Type.SYMBOLIC_LINK ? link : "",
                (int) (header.number(TarHeader.MODE, 8, "mode") & 07777),
                pax.number("uid", header.number(TarHeader.UID, 8, "owner")),
                pax.number("gid", header.number(TarHeader.GID, 8, "group")),
                size,
                mtime[0],
                (int) mtime[1],
                device ? device(header, TarHeader.DEVICE_MAJOR, 0xfff) : 0,
                device ? device(header, TarHeader.DEVICE_MINOR, 0xfffff) : 0,
                sparse,
                pax.xattrs().isEmpty() ? Map.of() : Map.copyOf(pax.xattrs()));
    }

    private static TarEntry.Type type(byte flag, String name) throws CorruptInputException {
        return switch (flag) {
            // Before POSIX a directory was a file whose name ends in a slash.
            case 0, '0', '7' -> name.endsWith("/") ? TarEntry.Type.DIRECTORY : TarEntry.Type.FILE;
            case 'S' -> TarEntry.Type.FILE;
            case '1' -> TarEntry.Type.HARD_LINK;
            case '2' -> TarEntry.Type.SYMBOLIC_LINK;
            case '3' -> TarEntry.Type.CHARACTER_DEVICE;
            case '4' -> TarEntry.Type.BLOCK_DEVICE;
            case '5', 'D' -> TarEntry.Type.DIRECTORY;
            case '6' -> TarEntry.Type.FIFO;
            default ->
                throw new CorruptInputException("a tar entry has the unknown type 0x%02x".formatted(flag & 0xff));
        };
    }

    private static int device(TarHeader header, int offset, int largest) throws CorruptInputException {
        long number = header.number(offset, 8, "device number");
        if (number < 0 || number > largest) {
            throw new CorruptInputException("a device number is out of the range of Linux");
        }
        return (int) number;
    }

    private static boolean isSparse(PaxRecords pax) throws CorruptInputException {
        return pax.text("GNU.sparse.major").equals("1")
                || pax.has("GNU.sparse.size") && (pax.has("GNU.sparse.map") || pax.sparseMap().length > 0)
                || pax.has("GNU.sparse.size") && pax.has("GNU.sparse.numblocks");
    }

    /** GNU tar manual, "Storing Sparse Files", old GNU format: four pieces in the header, 21 in each block after it. */
    private Sparse oldGnuSparse(long size) throws IOException {
        long[] map = new long[8];
        int count = 0;
        byte[] current = block.clone();
        int offset = 386;
        int pieces = 4;
        boolean more = current[482] != 0;
        while (true) {
            TarHeader view = new TarHeader(current);
            for (int i = 0; i < pieces && current[offset + 24 * i] != 0; i++) {
                if (count + 2 > map.length) {
                    map = Arrays.copyOf(map, map.length * 2);
                }
                map[count++] = view.number(offset + 24 * i, 12, "sparse map");
                map[count++] = view.number(offset + 24 * i + 12, 12, "sparse map");
            }
            if (!more) {
                return sparse(Arrays.copyOf(map, count), size);
            }
            if (count > 2 * TarLimits.SPARSE_PIECES) {
                throw new CorruptInputException("the map of a sparse file is too long");
            }
            readFully(current, TarHeader.BLOCK);
            offset = 0;
            pieces = 21;
            more = current[504] != 0;
        }
    }

    /** Format 1.0: decimal numbers, one a line, in whole blocks before the data. */
    private long[] sparseMapBeforeData() throws IOException {
        SparseMapText text = new SparseMapText();
        long count = text.number();
        if (count > TarLimits.SPARSE_PIECES) {
            throw new CorruptInputException("the map of a sparse file is too long");
        }
        long[] map = new long[(int) count * 2];
        for (int i = 0; i < map.length; i++) {
            map[i] = text.number();
        }
        return map;
    }

    private final class SparseMapText {
        private final byte[] bytes = new byte[TarHeader.BLOCK];
        private int at = TarHeader.BLOCK;

        private long number() throws IOException {
            long value = 0;
            int digits = 0;
            while (true) {
                if (at == TarHeader.BLOCK) {
                    if (remaining < TarHeader.BLOCK) {
                        throw new CorruptInputException("the map of a sparse file is cut off");
                    }
                    readFully(bytes, TarHeader.BLOCK);
                    remaining -= TarHeader.BLOCK;
                    at = 0;
                }
                byte b = bytes[at++];
                if (b == '\n' && digits > 0) {
                    return value;
                }
                if (b < '0' || b > '9' || ++digits > 18) {
                    throw new CorruptInputException("the map of a sparse file is malformed");
                }
                value = value * 10 + b - '0';
            }
        }
    }

    private Sparse sparse(long[] map, long size) throws CorruptInputException {
        long[] offsets = new long[map.length / 2];
        long[] lengths = new long[map.length / 2];
        for (int i = 0; i < offsets.length; i++) {
            offsets[i] = map[2 * i];
            lengths[i] = map[2 * i + 1];
        }
        return Sparse.checked(offsets, lengths, size, remaining);
    }

    private void startData(long stored) throws CorruptInputException {
        checkPadded(stored);
        remaining = stored;
        padding = (int) (padded(stored) - stored);
    }

    private byte[] readExtension(long size, int limit) throws IOException {
        byte[] data = new byte[checkedExtension(size, limit)];
        readFully(data, data.length);
        skipFully(padded(size) - size);
        return data;
    }

    private static int checkedExtension(long size, int limit) throws CorruptInputException {
        if (size > limit) {
            throw new CorruptInputException(
                    "a tar has an extension header of %d bytes, more than %d".formatted(size, limit));
        }
        return (int) size;
    }

    /** No size that is read may overflow once it is padded. */
    private static void checkPadded(long size) throws CorruptInputException {
        if (size > Long.MAX_VALUE - TarHeader.BLOCK) {
            throw new CorruptInputException("a tar header's size is too large");
        }
    }

    private static long padded(long size) {
        return size + TarHeader.BLOCK - 1 & -TarHeader.BLOCK;
    }

    private static String untilNul(byte[] data) {
        String text = new String(data, StandardCharsets.ISO_8859_1);
        int nul = text.indexOf('\0');
        return nul < 0 ? text : text.substring(0, nul);
    }

    /** False at the end: a block of zeros, or the end of the stream where an entry may begin. */
    private boolean readHeader(boolean inEntry) throws IOException {
        int count = in.readNBytes(block, 0, TarHeader.BLOCK);
        position += count;
        if (count == 0 && !inEntry) {
            return false;
        }
        if (count < TarHeader.BLOCK) {
            throw new EOFException();
        }
        if (!new TarHeader(block).isZero()) {
            return true;
        }
        if (inEntry) {
            throw new CorruptInputException("a tar ends after an extension header");
        }
        return false;
    }

    /** False where the archive ends in the padding of its last entry, as those that umoci 0.4 makes do. */
    private boolean skipPadding() throws IOException {
        int count = in.readNBytes(block, 0, padding);
        boolean whole = count == padding;
        position += count;
        padding = 0;
        return whole;
    }

    private void readFully(byte[] target, int length) throws IOException {
        int count = in.readNBytes(target, 0, length);
        position += count;
        if (count < length) {
            throw new EOFException();
        }
    }

    private void skipFully(long count) throws IOException {
        in.skipNBytes(count);
        position += count;
    }
}
