package dev.runhv.vmm.content;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.runhv.vmm.testing.ImageBuilder;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.Random;
import java.util.zip.Deflater;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What ISA-L makes of gzip beside what the JDK makes of it. */
class IsalInputStreamTest {
    private static final String DAMAGED = "damaged";
    private static final String TRUNCATED = "truncated";

    private final Random random = new Random(24);

    @BeforeEach
    void requireLibrary() throws IOException {
        assumeThat(IsalInputStream.of(InputStream.nullInputStream()))
                .as("the library libisal.so.2 of the package libisal2")
                .isPresent();
    }

    private interface Opener {
        InputStream open(InputStream compressed) throws IOException;
    }

    /** A digest of the content, or what kind of failure ends it. */
    private String outcome(Opener opener, byte[] compressed) throws IOException {
        // Reads that end anywhere, as those of a network do.
        InputStream broken = new BlockInputStream() {
            private final ByteArrayInputStream all = new ByteArrayInputStream(compressed);

            @Override
            public int read(byte[] buffer, int offset, int length) {
                return all.read(buffer, offset, Math.min(length, 1 + random.nextInt(70_000)));
            }
        };
        try (InputStream in = opener.open(broken)) {
            return Digest.sha256(in.readAllBytes()).toString();
        } catch (CorruptInputException e) {
            return DAMAGED;
        } catch (EOFException e) {
            return TRUNCATED;
        }
    }

    private String ours(byte[] compressed) throws IOException {
        return outcome(in -> IsalInputStream.of(in).orElseThrow(), compressed);
    }

    private String jdks(byte[] compressed) throws IOException {
        return outcome(Compression::gunzipByJdk, compressed);
    }

    private byte[] content(int size) {
        byte[] content = new byte[size];
        for (int at = 0; at < size; ) {
            // Noise, runs, and repetitions from near and far.
            int length = Math.min(size - at, 1 + random.nextInt(40_000));
            switch (random.nextInt(3)) {
                case 0 -> {
                    byte[] noise = new byte[length];
                    random.nextBytes(noise);
                    System.arraycopy(noise, 0, content, at, length);
                }
                case 1 -> Arrays.fill(content, at, at + length, (byte) random.nextInt());
                default -> {
                    int from = at == 0 ? 0 : random.nextInt(at);
                    System.arraycopy(content, from, content, at, Math.min(length, size - at));
                }
            }
            at += length;
        }
        return content;
    }

    private static byte[] gzip(byte[] content, int level) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (GZIPOutputStream gzip = new GZIPOutputStream(out) {
            {
                def.setLevel(level);
            }
        }) {
            gzip.write(content);
        }
        return out.toByteArray();
    }

    private static byte[] joined(byte[]... parts) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            out.writeBytes(part);
        }
        return out.toByteArray();
    }

    @Test
    void givesWhatTheJdkGives() throws IOException {
        for (int level = Deflater.NO_COMPRESSION; level <= Deflater.BEST_COMPRESSION; level++) {
            for (int size : new int[] {0, 1, 65_535, 262_144, 262_145, 3_000_000}) {
                byte[] content = content(size);
                assertThat(ours(gzip(content, level)))
                        .isEqualTo(Digest.sha256(content).toString());
            }
        }
    }

    @Test
    void takesHeadersWithEverythingInThem() throws IOException {
        byte[] plain = ImageBuilder.gzip(ImageBuilder.bytes("content"));
        byte[] header = {0x1f, (byte) 0x8b, 8, 0x1c, 1, 2, 3, 4, 0, 3, 2, 0, 'e', 'x', 'n', 0, 'c', 'o', 0};
        byte[] whole = joined(header, Arrays.copyOfRange(plain, 10, plain.length));

        assertThat(ours(whole)).isEqualTo(jdks(whole)).isEqualTo(ours(plain));
    }

    @Test
    void membersAreOneContentAndWhatFollowsThemIsNone() throws IOException {
        byte[] first = content(300_000);
        byte[] second = content(70_000);
        String both = Digest.sha256(joined(first, second)).toString();
        byte[] members = joined(gzip(first, 6), gzip(second, 1));

        assertThat(ours(members)).isEqualTo(both);
        assertThat(ours(joined(members, new byte[3000]))).isEqualTo(both);
        assertThat(ours(joined(members, new byte[] {0x1f}))).isEqualTo(both);
        assertThat(ours(joined(gzip(first, 6), gzip(new byte[0], 6), gzip(second, 6))))
                .isEqualTo(both);
    }

    @Test
    void whatIsCutOffAnywhereIsTruncated() throws IOException {
        byte[] whole = gzip(content(2000), 6);
        for (int length = 2; length < whole.length; length++) {
            assertThat(ours(Arrays.copyOf(whole, length)))
                    .as("%d bytes", length)
                    .isEqualTo(TRUNCATED);
        }
    }

    /** A flipped bit may be one of a name that nobody reads; else both find the damage, each in its own place. */
    @Test
    void aBitThatFlippedIsFoundAsTheJdkFindsIt() throws IOException {
        byte[] whole = gzip(content(100_000), 6);
        for (int i = 0; i < 3000; i++) {
            byte[] flipped = whole.clone();
            int at = i < 200 ? 2 + i / 8 : 2 + random.nextInt(whole.length - 2);
            flipped[at] ^= (byte) (1 << i % 8);
            String ours = ours(flipped);
            String jdks = jdks(flipped);
            if (ours.equals(DAMAGED) || ours.equals(TRUNCATED)) {
                assertThat(jdks).as("bit %d of byte %d", i % 8, at).isIn(DAMAGED, TRUNCATED);
            } else {
                assertThat(ours).as("bit %d of byte %d", i % 8, at).isEqualTo(jdks);
            }
        }
    }
}
