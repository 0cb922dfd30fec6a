package dev.runhv.vmm.rootfs;

import dev.runhv.vmm.content.tar.Sparse;
import dev.runhv.vmm.content.tar.TarEntry;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.Closeable;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.zip.CRC32C;
import java.util.zip.CheckedInputStream;
import java.util.zip.CheckedOutputStream;

/**
 * The entries of a layer as they came, whiteouts among them, in a file beside the layer's data: what a tree is made of once
 * more without reading the layer. A line that names the format, the entries, the number of data blocks and the CRC-32C of
 * the data, and a CRC-32C of all that; numbers are big-endian. The same entries give the same bytes.
 */
final class LayerEntries {
    private static final String FORMAT = "runhv-layer-2\n";
    private static final int CHECKSUM_BYTES = 4;
    private static final TarEntry.Type[] TYPES = TarEntry.Type.values();
    /** In place of a type. */
    private static final int END = 0xff;

    private static final int NO_DATA = 0;
    private static final int FLAT = 1;
    private static final int CHUNKED = 2;

    private LayerEntries() {}

    /** An entry, and where its data lies in the layer's; null where it has none. */
    record Entry(TarEntry tar, FileData data) {}

    static final class Writer {
        private final CheckedOutputStream checked;
        private final DataOutputStream out;

        /** @param file closing it is up to the caller */
        Writer(OutputStream file) throws IOException {
            checked = new CheckedOutputStream(new BufferedOutputStream(file, 1 << 16), new CRC32C());
            out = new DataOutputStream(checked);
            out.writeBytes(FORMAT);
        }

        /** @param data null where the entry has none */
        void append(TarEntry entry, FileData data) throws IOException {
            out.writeByte(entry.type().ordinal());
            writeBytes(entry.name());
            writeBytes(entry.linkName());
            out.writeShort(entry.mode());
            out.writeLong(entry.uid());
            out.writeLong(entry.gid());
            out.writeLong(entry.mtimeSeconds());
            out.writeInt(entry.mtimeNanos());
            if (isDevice(entry.type())) {
                out.writeInt(entry.deviceMajor());
                out.writeInt(entry.deviceMinor());
            }
            out.writeInt(entry.xattrs().size());
            for (Map.Entry<String, byte[]> xattr : new TreeMap<>(entry.xattrs()).entrySet()) {
                writeBytes(xattr.getKey());
                out.writeInt(xattr.getValue().length);
                out.write(xattr.getValue());
            }
            write(data);
        }

        private void write(FileData data) throws IOException {
            switch (data) {
                case null -> out.writeByte(NO_DATA);
                case FileData.Flat(long size, int startBlock) -> {
                    out.writeByte(FLAT);
                    out.writeLong(size);
                    out.writeInt(startBlock);
                }
                case FileData.Chunked(long size, int chunkBits, int[] blocks) -> {
                    out.writeByte(CHUNKED);
                    out.writeLong(size);
                    out.writeInt(chunkBits);
                    out.writeInt(blocks.length);
                    for (int block : blocks) {
                        out.writeInt(block);
                    }
                }
            }
        }

        private void writeBytes(String bytes) throws IOException {
            out.writeInt(bytes.length());
            out.write(bytes.getBytes(StandardCharsets.ISO_8859_1));
        }

        /**
         * @param dataBlocks how many blocks the layer's data has
         * @param dataChecksum their CRC-32C
         */
        void finish(int dataBlocks, int dataChecksum) throws IOException {
            out.writeByte(END);
            out.writeInt(dataBlocks);
            out.writeInt(dataChecksum);
            out.writeInt((int) checked.getChecksum().getValue());
            out.flush();
        }
    }

    /** What a file that was checked says of the layer's data. */
    record Data(int blocks, int checksum) {}

    /**
     * Whether the file is there and as it was written; its content is believed afterwards.
     *
     * @return empty where it is not
     */
    static Optional<Data> check(Path file) throws IOException {
        if (!Files.exists(file)) {
            return Optional.empty();
        }
        CRC32C checksum = new CRC32C();
        try (InputStream in = new BufferedInputStream(Files.newInputStream(file), 1 << 16)) {
            CheckedInputStream checked = new CheckedInputStream(in, checksum);
            long body = Files.size(file) - CHECKSUM_BYTES - 2 * Integer.BYTES;
            if (body < FORMAT.length()
                    || !FORMAT.equals(new String(checked.readNBytes(FORMAT.length()), StandardCharsets.ISO_8859_1))) {
                return Optional.empty();
            }
            checked.skipNBytes(body - FORMAT.length());
            DataInputStream end = new DataInputStream(checked);
            Data data = new Data(end.readInt(), end.readInt());
            int expected = (int) checksum.getValue();
            boolean whole = new DataInputStream(in).readInt() == expected && data.blocks >= 0;
            return whole ? Optional.of(data) : Optional.empty();
        } catch (EOFException e) {
            return Optional.empty(); // it became shorter meanwhile
        }
    }

    /** Reads a file that was checked. */
    static final class Reader implements Closeable {
        private final DataInputStream in;

        Reader(Path file) throws IOException {
            in = new DataInputStream(new BufferedInputStream(Files.newInputStream(file), 1 << 16));
            in.skipNBytes(FORMAT.length());
        }

        /** The next entry; null behind the last. */
        Entry next() throws IOException {
            int number = in.readUnsignedByte();
            if (number == END) {
                return null;
            }
            TarEntry.Type type = TYPES[number];
            String name = readBytes();
            String linkName = readBytes();
            int mode = in.readUnsignedShort();
            long uid = in.readLong();
            long gid = in.readLong();
            long mtimeSeconds = in.readLong();
            int mtimeNanos = in.readInt();
            int major = isDevice(type) ? in.readInt() : 0;
            int minor = isDevice(type) ? in.readInt() : 0;
            Map<String, byte[]> xattrs = readXattrs();
            FileData data = readData();
            long size = data == null ? 0 : data.size();
            return new Entry(
                    new TarEntry(
                            type,
                            name,
                            linkName,
                            mode,
                            uid,
                            gid,
                            size,
                            mtimeSeconds,
                            mtimeNanos,
                            major,
                            minor,
                            Sparse.NONE,
                            xattrs),
                    data);
        }

        private Map<String, byte[]> readXattrs() throws IOException {
            int count = in.readInt();
            if (count == 0) {
                return Map.of();
            }
            Map<String, byte[]> xattrs = new TreeMap<>();
            for (int i = 0; i < count; i++) {
                String name = readBytes();
                xattrs.put(name, in.readNBytes(in.readInt()));
            }
            return xattrs;
        }

        private FileData readData() throws IOException {
            int form = in.readUnsignedByte();
            if (form == NO_DATA) {
                return null;
            }
            long size = in.readLong();
            if (form == FLAT) {
                return new FileData.Flat(size, in.readInt());
            }
            int chunkBits = in.readInt();
            int[] blocks = new int[in.readInt()];
            for (int i = 0; i < blocks.length; i++) {
                blocks[i] = in.readInt();
            }
            return new FileData.Chunked(size, chunkBits, blocks);
        }

        private String readBytes() throws IOException {
            return new String(in.readNBytes(in.readInt()), StandardCharsets.ISO_8859_1);
        }

        @Override
        public void close() throws IOException {
            in.close();
        }
    }

    private static boolean isDevice(TarEntry.Type type) {
        return type == TarEntry.Type.CHARACTER_DEVICE || type == TarEntry.Type.BLOCK_DEVICE;
    }
}
