package dev.runhv.vmm.kernel;

import dev.runhv.vmm.content.BlockInputStream;
import dev.runhv.vmm.content.Compression;
import dev.runhv.vmm.content.CorruptInputException;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import org.tukaani.xz.XZIOException;
import org.tukaani.xz.XZInputStream;

/** A stream without its compression, with an end to how much comes out of it. */
final class Unpacked extends BlockInputStream {
    private static final byte[] XZ_MAGIC = {(byte) 0xfd, '7', 'z', 'X', 'Z', 0};

    private final InputStream in;
    private final long limit;
    private long count;

    private Unpacked(InputStream in, long limit) {
        this.in = in;
        this.limit = limit;
    }

    /** Compressed by xz, gzip, zstd or not at all, told by how it begins. Closing the result closes the stream. */
    static InputStream of(InputStream stored, long limit) throws IOException {
        BufferedInputStream in = new BufferedInputStream(stored, 1 << 16);
        in.mark(XZ_MAGIC.length);
        boolean xz = Arrays.equals(in.readNBytes(XZ_MAGIC.length), XZ_MAGIC);
        in.reset();
        return new Unpacked(xz ? new XZInputStream(in, KernelLimits.XZ_MEMORY_KIB) : Compression.decompress(in), limit);
    }

    @Override
    public int read(byte[] buffer, int offset, int length) throws IOException {
        int read;
        try {
            read = in.read(buffer, offset, length);
        } catch (XZIOException e) {
            throw new CorruptInputException("the xz data is damaged, or needs too much memory", e);
        }
        if (read > 0) {
            count += read;
            if (count > limit) {
                throw new CorruptInputException("it has more than %d bytes".formatted(limit));
            }
        }
        return read;
    }

    @Override
    public void close() throws IOException {
        in.close();
    }
}
