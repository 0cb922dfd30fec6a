package dev.runhv.vmm.content.tar;

import static org.assertj.core.api.Assertions.assertThat;

import dev.runhv.vmm.testing.TarBuilder;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveInputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TarReaderTest {
    /** Archives written by GNU tar 1.34 in each of its formats. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "v7.tar",
                "ustar.tar",
                "gnu.tar",
                "gnu-many-pieces.tar.gz",
                "posix-sparse-0.0.tar",
                "posix-sparse-0.1.tar",
                "posix-sparse-1.0.tar"
            })
    void agreesWithCommonsCompress(String file) throws IOException {
        byte[] tar = Corpus.read(file);

        assertThat(ours(tar)).isNotEmpty().containsExactlyElementsOf(theirs(tar));
    }

    @Test
    void readsNumbersThatAreTooLargeForOctalDigits() throws IOException {
        byte[] header = TarBuilder.header('0', "a", "", 0, 0644, 1L << 31, (1L << 32) - 2, -3, 0, 0);

        TarEntry entry = new TarReader(new ByteArrayInputStream(header)).next();

        assertThat(entry.uid()).isEqualTo(1L << 31);
        assertThat(entry.gid()).isEqualTo((1L << 32) - 2);
        assertThat(entry.mtimeSeconds()).isEqualTo(-3);
    }

    @Test
    void ignoresGlobalHeadersAndVolumeLabels() throws IOException {
        byte[] record = TarBuilder.record("path", TarBuilder.latin1("elsewhere"));
        byte[] tar = new TarBuilder()
                .entry('g', "global", "", record, 0, 0, 0)
                .entry('V', "label", "", new byte[0], 0, 0, 0)
                .file("a", "1")
                .bytes();

        assertThat(ours(tar)).singleElement().asString().startsWith("- a ");
    }

    @Test
    void readsTheAttributesOfLibarchive() throws IOException {
        byte[] tar = new TarBuilder()
                .pax("LIBARCHIVE.xattr.user.a%20b", "AAH/")
                .file("a", "")
                .bytes();

        TarEntry entry = new TarReader(new ByteArrayInputStream(tar)).next();

        assertThat(entry.xattrs()).containsOnlyKeys("user.a b");
        assertThat(entry.xattrs().get("user.a b")).containsExactly(0, 1, -1);
    }

    @Test
    void anEmptyValueTakesBackWhatARecordSays() throws IOException {
        byte[] extended = Stream.of(
                        "SCHILY.xattr.user.a=1",
                        "SCHILY.xattr.user.a=",
                        "SCHILY.xattr.user.b=2",
                        "LIBARCHIVE.xattr.user.b=",
                        "LIBARCHIVE.xattr.user.c=",
                        "SCHILY.xattr.user.d=",
                        "path=gone",
                        "path=",
                        "mtime=",
                        "uid=",
                        "size=")
                .map(record -> record.length() + 4 + " " + record + "\n") // two digits, space, newline
                .map(record -> record.length() < 10 ? "0" + record : record)
                .collect(Collectors.joining())
                .getBytes(StandardCharsets.ISO_8859_1);
        byte[] tar = new TarBuilder()
                .raw(TarBuilder.header('x', "p", "", extended.length, 0, 0, 0, 0, 0, 0))
                .raw(Arrays.copyOf(extended, 512))
                .owner(7, 8)
                .mtime(9)
                .file("name", "four")
                .bytes();

        TarEntry entry = new TarReader(new ByteArrayInputStream(tar)).next();

        assertThat(entry.name()).isEqualTo("name");
        assertThat(entry.uid()).isEqualTo(7);
        assertThat(entry.mtimeSeconds()).isEqualTo(9);
        assertThat(entry.size()).isEqualTo(4);
        assertThat(entry.xattrs()).isEmpty();
    }

    private static List<String> ours(byte[] tar) throws IOException {
        List<String> lines = new ArrayList<>();
        TarReader reader = new TarReader(new ByteArrayInputStream(tar));
        for (TarEntry entry = reader.next(); entry != null; entry = reader.next()) {
            ByteArrayOutputStream stored = new ByteArrayOutputStream();
            byte[] buffer = new byte[1000];
            for (int count = reader.read(buffer, 0, 1000); count > 0; count = reader.read(buffer, 0, 1000)) {
                stored.write(buffer, 0, count);
            }
            lines.add(line(
                    switch (entry.type()) {
                        case FILE -> '-';
                        case HARD_LINK -> 'h';
                        case SYMBOLIC_LINK -> 'l';
                        case CHARACTER_DEVICE -> 'c';
                        case BLOCK_DEVICE -> 'b';
                        case DIRECTORY -> 'd';
                        case FIFO -> 'p';
                    },
                    entry.name(),
                    entry.linkName(),
                    entry.mode(),
                    entry.uid(),
                    entry.gid(),
                    entry.mtimeSeconds() * 1_000_000_000 + entry.mtimeNanos(),
                    expanded(entry, stored.toByteArray())));
        }
        return lines;
    }

    private static byte[] expanded(TarEntry entry, byte[] stored) {
        Sparse sparse = entry.sparse();
        if (sparse.pieces() == 0) {
            return stored;
        }
        byte[] whole = new byte[Math.toIntExact(entry.size())];
        int from = 0;
        for (int i = 0; i < sparse.pieces(); i++) {
            int length = Math.toIntExact(sparse.lengths()[i]);
            System.arraycopy(stored, from, whole, Math.toIntExact(sparse.offsets()[i]), length);
            from += length;
        }
        return whole;
    }

    private static List<String> theirs(byte[] tar) throws IOException {
        List<String> lines = new ArrayList<>();
        try (TarArchiveInputStream in = new TarArchiveInputStream(new ByteArrayInputStream(tar))) {
            for (TarArchiveEntry entry = in.getNextEntry(); entry != null; entry = in.getNextEntry()) {
                char type = entry.isLink()
                        ? 'h'
                        : entry.isSymbolicLink() ? 'l' : entry.isFIFO() ? 'p' : entry.isDirectory() ? 'd' : '-';
                lines.add(line(
                        type,
                        entry.getName(),
                        entry.getLinkName(),
                        entry.getMode() & 07777,
                        entry.getLongUserId(),
                        entry.getLongGroupId(),
                        entry.getLastModifiedTime().to(TimeUnit.NANOSECONDS),
                        in.readAllBytes()));
            }
        }
        return lines;
    }

    private static String line(
            char type, String name, String link, int mode, long uid, long gid, long mtime, byte[] content) {
        return "%s %s %s %o %d:%d %d %d/%08x"
                .formatted(type, name, link, mode, uid, gid, mtime, content.length, Arrays.hashCode(content));
    }
}
