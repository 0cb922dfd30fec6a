package dev.runhv.vmm.rootfs;

import dev.runhv.vmm.content.tar.Sparse;
import dev.runhv.vmm.content.tar.TarEntry;
import dev.runhv.vmm.content.tar.TarReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.SequenceInputStream;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** A root file system with one program and nothing else. */
public final class ProgramImage {
    private static final int BLOCK = 512;

    private ProgramImage() {}

    /**
     * Writes the EROFS image.
     *
     * @param image a file that does not exist
     * @param name of the program in the root folder, ASCII
     */
    public static void write(Path image, String name, byte[] program) throws IOException {
        try (FileChannel channel = FileChannel.open(
                image, StandardOpenOption.CREATE_NEW, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            ImageOutput out = new ImageOutput(channel);
            ErofsWriter writer = new ErofsWriter(out);
            FileDataWriter data = new FileDataWriter(out);
            RootTree tree = new RootTree();
            tree.beginLayer();
            TarReader tar = new TarReader(tar(name, program));
            TarEntry entry = tar.next();
            tree.apply(entry, data.append(tar, program.length, Sparse.NONE));
            writer.finishBehindData(tree, new byte[16]);
        }
    }

    /** POSIX.1-1988: what a reader cannot do without. */
    private static InputStream tar(String name, byte[] program) {
        byte[] header = new byte[BLOCK];
        put(header, 0, name);
        put(header, 100, "0000755");
        put(header, 124, "%011o".formatted(program.length));
        put(header, 136, "%011o".formatted(0));
        put(header, 148, " ".repeat(8));
        header[156] = '0';
        put(header, 257, "ustar");
        put(header, 263, "00");
        int sum = 0;
        for (byte b : header) {
            sum += b & 0xff;
        }
        put(header, 148, "%06o".formatted(sum));
        header[154] = 0;
        byte[] padding = new byte[(-program.length & BLOCK - 1) + 2 * BLOCK];
        return new SequenceInputStream(
                new ByteArrayInputStream(header),
                new SequenceInputStream(new ByteArrayInputStream(program), new ByteArrayInputStream(padding)));
    }

    private static void put(byte[] header, int offset, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
        System.arraycopy(bytes, 0, header, offset, bytes.length);
    }
}
