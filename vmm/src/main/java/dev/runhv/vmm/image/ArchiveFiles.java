package dev.runhv.vmm.image;

import dev.runhv.vmm.content.BlockInputStream;
import dev.runhv.vmm.content.Compression;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.PositionalFile;
import dev.runhv.vmm.content.tar.TarEntry;
import dev.runhv.vmm.content.tar.TarReader;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;

/**
 * The files in a tar, read where they lie: the archive is not unpacked, only its headers are read. A compressed archive
 * cannot be read in any order, so it is decompressed to a temporary file first.
 */
final class ArchiveFiles implements ImageFiles {
    private static final int SYMBOLIC_LINKS = 16;
    private static final int MAGIC_BUFFER = 16;
    private static final String SPOOL = "runhv-archive-";

    private record Member(long offset, long size, String target) {}

    private final PositionalFile content;
    private final Map<String, Member> members = new HashMap<>();

    private long nameBytes;

    private ArchiveFiles(PositionalFile content) {
        this.content = content;
    }

    static ArchiveFiles open(Path file) throws IOException {
        if (Files.isDirectory(file)) {
            throw new CorruptInputException(file + " is a folder, not an archive (an OCI layout is oci:" + file + ")");
        }
        if (!Files.isRegularFile(file)) {
            // To open a pipe would be to wait for its writer.
            throw new CorruptInputException(file + " is not a regular file");
        }
        ArchiveFiles files = new ArchiveFiles(content(file, ImageLimits.ARCHIVE_BYTES));
        try {
            files.index();
            return files;
        } catch (IOException e) {
            files.close();
            throw e;
        }
    }

    /** Whether the archive as a whole is compressed; false where there is no such file, too. */
    static boolean isCompressed(Path file) throws IOException {
        if (!Files.isRegularFile(file)) {
            return false;
        }
        try (InputStream in = new BufferedInputStream(Files.newInputStream(file), MAGIC_BUFFER)) {
            return Compression.of(in) != Compression.NONE;
        }
    }

    /** @param limit of a compressed archive's bytes once they are decompressed */
    static PositionalFile content(Path file, long limit) throws IOException {
        if (!isCompressed(file)) {
            return PositionalFile.open(file);
        }
        try (InputStream in = Compression.decompress(Files.newInputStream(file))) {
            PositionalFile spool = PositionalFile.temporary(SPOOL);
            try {
                copy(in, spool, limit);
                return spool;
            } catch (IOException e) {
                spool.close();
                throw e;
            }
        }
    }

    private static void copy(InputStream in, PositionalFile spool, long limit) throws IOException {
        byte[] buffer = new byte[1 << 18];
        long written = 0;
        for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
            if (Thread.currentThread().isInterrupted()) {
                throw new InterruptedIOException();
            }
            if (count > limit - written) {
                throw new CorruptInputException("The archive has more than %d bytes decompressed".formatted(limit));
            }
            try {
                spool.write(buffer, 0, count, written);
            } catch (IOException e) {
                throw ofTemporaryFolder(e);
            }
            written += count;
        }
    }

    /** With the folder that is full: the archive's own disk has nothing to do with it. */
    private static IOException ofTemporaryFolder(IOException e) {
        FileSystemException named = new FileSystemException(
                System.getProperty("java.io.tmpdir") + " (java.io.tmpdir)", null, e.getMessage());
        named.initCause(e);
        return named;
    }

    private void index() throws IOException {
        TarReader tar = new TarReader(new Window(0, content.size()));
        for (TarEntry entry = tar.next(); entry != null; entry = tar.next()) {
            if (members.size() >= ImageLimits.ARCHIVE_ENTRIES) {
                throw new CorruptInputException(
                        "The archive has more than %d entries".formatted(ImageLimits.ARCHIVE_ENTRIES));
            }
            nameBytes += entry.name().length() + entry.linkName().length();
            if (nameBytes > ImageLimits.ARCHIVE_NAME_BYTES) {
                throw new CorruptInputException(
                        "The names in the archive have more than %d bytes".formatted(ImageLimits.ARCHIVE_NAME_BYTES));
            }
            String name = resolve("", entry.name());
            switch (entry.type()) {
                case FILE -> {
                    if (entry.sparse().pieces() > 0) {
                        throw new CorruptInputException("The archive stores " + name + " as a sparse file");
                    }
                    members.put(name, new Member(tar.position(), entry.size(), ""));
                }
                case SYMBOLIC_LINK -> members.put(name, new Member(0, 0, resolve(parent(name), entry.linkName())));
                case HARD_LINK -> members.put(name, new Member(0, 0, resolve("", entry.linkName())));
                case DIRECTORY, FIFO, CHARACTER_DEVICE, BLOCK_DEVICE -> {}
            }
            if (entry.type() == TarEntry.Type.FILE && entry.size() > content.size() - tar.position()) {
                throw new CorruptInputException("The archive ends inside " + name + ": it is truncated");
            }
        }
    }

    @Override
    public long size(String name) {
        Member member = find(name);
        return member == null ? -1 : member.size;
    }

    @Override
    public InputStream open(String name) throws IOException {
        Member member = find(name);
        if (member == null) {
            throw new CorruptInputException(name + " is missing");
        }
        return new BufferedInputStream(new Window(member.offset, member.size), 1 << 16);
    }

    private Member find(String name) {
        Member member = members.get(resolve("", name));
        for (int links = 0; member != null && !member.target.isEmpty(); links++) {
            member = links == SYMBOLIC_LINKS ? null : members.get(member.target);
        }
        return member;
    }

    @Override
    public void close() throws IOException {
        content.close();
    }

    private static String parent(String name) {
        int slash = name.lastIndexOf('/');
        return slash < 0 ? "" : name.substring(0, slash);
    }

    /** The name without dots and slashes at its ends; what would leave the archive stays inside. */
    private static String resolve(String directory, String name) {
        Deque<String> parts = new ArrayDeque<>();
        for (String part : (name.startsWith("/") ? name : directory + "/" + name).split("/")) {
            if (part.equals("..")) {
                parts.pollLast();
            } else if (!part.isEmpty() && !part.equals(".")) {
                parts.addLast(part);
            }
        }
        return String.join("/", parts);
    }

    /** A part of the archive as a stream that skips without reading. */
    private final class Window extends BlockInputStream {
        private long at;
        private final long end;

        private Window(long offset, long size) {
            this.at = offset;
            this.end = offset + size;
        }

        @Override
        public int read(byte[] buffer, int offset, int length) throws IOException {
            if (length == 0) {
                return 0;
            }
            if (at >= end) {
                return -1;
            }
            int count = content.read(buffer, offset, (int) Math.min(length, end - at), at);
            at += Math.max(count, 0);
            return count;
        }

        @Override
        public long skip(long count) {
            long skipped = Math.max(0, Math.min(count, end - at));
            at += skipped;
            return skipped;
        }
    }
}
