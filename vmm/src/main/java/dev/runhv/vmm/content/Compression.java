package dev.runhv.vmm.content;

import com.github.luben.zstd.ZstdException;
import com.github.luben.zstd.ZstdIOException;
import com.github.luben.zstd.ZstdInputStream;
import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Optional;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipException;

/** How bytes are compressed, told by how they begin: what a media type claims is often wrong. */
public enum Compression {
    NONE,
    GZIP,
    ZSTD;

    private static final int BUFFER = 1 << 16;
    /** 128 MiB, what zstd itself takes without being asked (--long=27). */
    private static final int ZSTD_WINDOW_LOG_MAX = 27;

    /** The content, decompressed. Closing it closes the stream. */
    public static InputStream decompress(InputStream compressed) throws IOException {
        BufferedInputStream in = new BufferedInputStream(compressed, BUFFER);
        return switch (of(in)) {
            case NONE -> in;
            case GZIP -> gunzip(in);
            case ZSTD ->
                new Decoded("zstd", new ZstdInputStream(in).setContinuous(false).setLongMax(ZSTD_WINDOW_LOG_MAX));
        };
    }

    private static InputStream gunzip(InputStream in) throws IOException {
        Optional<InputStream> quick = IsalInputStream.of(in);
        return quick.isPresent() ? quick.get() : gunzipByJdk(in);
    }

    static InputStream gunzipByJdk(InputStream in) throws IOException {
        try {
            return new Decoded("gzip", new GZIPInputStream(in, BUFFER));
        } catch (ZipException e) {
            throw new CorruptInputException("The gzip data is damaged: " + e.getMessage(), e);
        }
    }

    /** Looks at the first bytes of a stream that can be reset; it stands at its start afterwards. */
    public static Compression of(InputStream in) throws IOException {
        in.mark(4);
        byte[] magic = in.readNBytes(4);
        in.reset();
        if (magic.length >= 2 && magic[0] == 0x1f && (magic[1] & 0xff) == 0x8b) {
            return GZIP;
        }
        if (magic.length == 4 && isZstd(magic)) {
            return ZSTD;
        }
        return NONE;
    }

    // RFC 8878 §3.1: a frame, or a skippable frame (which eStargz and zstd:chunked put first or last).
    private static boolean isZstd(byte[] magic) {
        boolean tail = (magic[1] & 0xff) == 0xb5 && magic[2] == 0x2f && (magic[3] & 0xff) == 0xfd;
        boolean skippable = (magic[0] & 0xf0) == 0x50 && magic[1] == 0x2a && magic[2] == 0x4d && magic[3] == 0x18;
        return magic[0] == 0x28 && tail || skippable;
    }

    /** Turns the complaints of a decoder into one type. */
    private static final class Decoded extends BlockInputStream {
        private final String format;
        private final InputStream in;

        private Decoded(String format, InputStream in) {
            this.format = format;
            this.in = in;
        }

        @Override
        public int read(byte[] buffer, int offset, int length) throws IOException {
            try {
                return in.read(buffer, offset, length);
            } catch (ZipException | ZstdIOException | ZstdException e) {
                if (String.valueOf(e.getMessage()).contains("Truncated")) {
                    EOFException truncated = new EOFException("The " + format + " data is truncated");
                    truncated.initCause(e);
                    throw truncated;
                }
                throw new CorruptInputException("The " + format + " data is damaged: " + e.getMessage(), e);
            }
        }

        @Override
        public void close() throws IOException {
            in.close();
        }
    }
}
