package dev.runhv.vmm.kernel;

import dev.runhv.vmm.content.BlockInputStream;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.tar.TarEntry;
import dev.runhv.vmm.content.tar.TarReader;
import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** A binary package of Debian (deb(5)): an ar archive with a tar of the files in it. */
final class DebianPackage {
    private static final String MAGIC = "!<arch>\n";
    private static final int HEADER = 60;

    private final Path kernel;
    private final FileChannel spool;
    private final KernelFiles files = new KernelFiles();
    private boolean hasKernel;

    private DebianPackage(Path kernel, FileChannel spool) {
        this.kernel = kernel;
        this.spool = spool;
    }

    static boolean is(Path file) throws IOException {
        try (InputStream in = Files.newInputStream(file)) {
            return isMagic(in.readNBytes(MAGIC.length()));
        }
    }

    /**
     * Reads a kernel package once from front to back.
     *
     * @param kernel where its kernel is put
     * @param spool where its modules are put; the answer reads them from there
     */
    static KernelFiles read(Path file, Path kernel, FileChannel spool) throws IOException {
        DebianPackage reader = new DebianPackage(kernel, spool);
        try (InputStream in = new BufferedInputStream(Files.newInputStream(file), 1 << 16)) {
            if (!isMagic(in.readNBytes(MAGIC.length()))) {
                throw new CorruptInputException("it is no Debian package");
            }
            reader.readFiles(in);
        }
        if (!reader.hasKernel) {
            throw new CorruptInputException("the package holds no kernel (boot/vmlinuz-VERSION)");
        }
        return reader.files;
    }

    private static boolean isMagic(byte[] bytes) {
        return new String(bytes, StandardCharsets.ISO_8859_1).equals(MAGIC);
    }

    private void readFiles(InputStream ar) throws IOException {
        while (true) {
            byte[] header = ar.readNBytes(HEADER);
            if (header.length == 0) {
                throw new CorruptInputException("the package holds no data.tar");
            }
            if (header.length < HEADER) {
                throw new EOFException();
            }
            long size = size(header);
            if (new String(header, 0, 16, StandardCharsets.ISO_8859_1).startsWith("data.tar")) {
                InputStream data = Unpacked.of(new Member(ar, size), KernelLimits.PACKAGE_BYTES);
                readTar(new TarReader(data));
                // What follows the tar holds the checksums of it.
                data.transferTo(OutputStream.nullOutputStream());
                return;
            }
            ar.skipNBytes(size + (size & 1));
        }
    }

    private static long size(byte[] header) throws CorruptInputException {
        String text = new String(header, 48, 10, StandardCharsets.ISO_8859_1).strip();
        if (header[58] != '`' || header[59] != '\n' || !text.matches("[0-9]{1,10}")) {
            throw new CorruptInputException("the package has a member without a proper header");
        }
        return Long.parseLong(text);
    }

    private void readTar(TarReader tar) throws IOException {
        for (TarEntry entry = tar.next(); entry != null; entry = tar.next()) {
            if (entry.type() != TarEntry.Type.FILE) {
                continue;
            }
            String path = entry.name().replaceFirst("^(\\./|/)+", "").replaceFirst("^usr/", "");
            boolean ofModules = path.startsWith("lib/modules/");
            String module = ofModules ? KernelFiles.moduleName(path) : null;
            if (module != null) {
                addModule(module, tar);
            } else if (ofModules && path.endsWith("/modules.builtin")) {
                files.addBuiltIn(content(tar).readNBytes(KernelLimits.BUILT_IN_LIST_BYTES));
            } else if (path.startsWith("boot/vmlinuz-") || ofModules && path.endsWith("/vmlinuz")) {
                addKernel(tar);
            }
        }
    }

    private void addModule(String name, TarReader tar) throws IOException {
        if (tar.remaining() > KernelLimits.MODULE_BYTES) {
            throw new CorruptInputException("its module %s is too large".formatted(name));
        }
        int size = (int) tar.remaining();
        long offset = spool.position();
        // Neither is closed: the spool belongs to the caller, the tar goes on.
        content(tar).transferTo(Channels.newOutputStream(spool));
        files.add(name, () -> new Extent(spool, offset, size));
    }

    private void addKernel(TarReader tar) throws IOException {
        if (hasKernel) {
            throw new CorruptInputException("the package holds more than one kernel");
        }
        if (tar.remaining() > KernelLimits.KERNEL_BYTES) {
            throw new CorruptInputException("its kernel is too large");
        }
        hasKernel = true;
        try (OutputStream out = Files.newOutputStream(kernel)) {
            content(tar).transferTo(out);
        }
    }

    /** What is left of the entry at which the reader stands. */
    private static InputStream content(TarReader tar) {
        return new BlockInputStream() {
            @Override
            public int read(byte[] buffer, int offset, int length) throws IOException {
                return tar.read(buffer, offset, length);
            }
        };
    }

    /** One member of the archive. Closing it leaves the archive open. */
    private static final class Member extends BlockInputStream {
        private final InputStream in;
        private long left;

        private Member(InputStream in, long left) {
            this.in = in;
            this.left = left;
        }

        @Override
        public int read(byte[] buffer, int offset, int length) throws IOException {
            if (left == 0) {
                return -1;
            }
            int read = in.read(buffer, offset, (int) Math.min(length, left));
            if (read < 0) {
                throw new EOFException();
            }
            left -= read;
            return read;
        }
    }

    /** A piece of the spool. */
    private static final class Extent extends BlockInputStream {
        private final FileChannel channel;
        private final long end;
        private long at;

        private Extent(FileChannel channel, long offset, int size) {
            this.channel = channel;
            this.at = offset;
            this.end = offset + size;
        }

        @Override
        public int read(byte[] buffer, int offset, int length) throws IOException {
            if (at == end) {
                return -1;
            }
            int read = channel.read(ByteBuffer.wrap(buffer, offset, (int) Math.min(length, end - at)), at);
            if (read < 0) {
                throw new EOFException();
            }
            at += read;
            return read;
        }
    }
}
