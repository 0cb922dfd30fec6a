package dev.runhv.vmm.content.tar;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.vmm.content.CorruptInputException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveInputStream;
import org.junit.jupiter.api.Test;

class TarWriterTest {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    private static InputStream zeros(int count) {
        return new ByteArrayInputStream(new byte[count]);
    }

    @Test
    void writesWhatAnotherReaderReads() throws IOException {
        String longName = "blobs/sha512/" + "0123456789abcdef".repeat(8);
        try (TarWriter tar = new TarWriter(out)) {
            tar.directory("blobs/");
            tar.file("exact", 512, zeros(512));
            tar.file(longName, 513, zeros(513));
            tar.file("empty", 0, zeros(0));
        }
        assertThat(out.size() % 512).isZero();
        try (TarArchiveInputStream tar = new TarArchiveInputStream(new ByteArrayInputStream(out.toByteArray()))) {
            check(tar, "blobs/", 0, 0755);
            check(tar, "exact", 512, 0644);
            check(tar, longName, 513, 0644);
            check(tar, "empty", 0, 0644);
            assertThat(tar.getNextEntry()).isNull();
        }
    }

    private static void check(TarArchiveInputStream tar, String name, int size, int mode) throws IOException {
        TarArchiveEntry entry = tar.getNextEntry();
        assertThat(entry.getName()).isEqualTo(name);
        assertThat(entry.isDirectory()).isEqualTo(name.endsWith("/"));
        assertThat(entry.getMode() & 0777).isEqualTo(mode);
        assertThat(entry.getLongUserId()).isZero();
        assertThat(entry.getLastModifiedTime().toMillis()).isZero();
        assertThat(tar.readAllBytes()).hasSize(size);
    }

    @Test
    void sizeBeyondEightGibibytesIsSaid() throws IOException {
        long size = (8L << 30) + 5;
        TarWriter tar = new TarWriter(out);
        assertThatThrownBy(() -> tar.file("large", size, zeros(3)))
                .isInstanceOf(CorruptInputException.class)
                .hasMessage("large has 3 bytes, not " + size);
        TarEntry read = new TarReader(new ByteArrayInputStream(out.toByteArray())).next();
        assertThat(read.name()).isEqualTo("large");
        assertThat(read.size()).isEqualTo(size);
    }
}
