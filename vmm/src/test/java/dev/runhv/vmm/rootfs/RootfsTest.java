package dev.runhv.vmm.rootfs;

import static dev.runhv.vmm.testing.ImageBuilder.LAYER;
import static org.assertj.core.api.Assertions.assertThat;

import com.github.luben.zstd.Zstd;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.testing.ImageBuilder;
import dev.runhv.vmm.testing.TarBuilder;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RootfsTest {
    @TempDir
    private Path folder;

    private static final byte[] CAPABILITY = {
        1, 0, 0, 2, 0, (byte) 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (byte) 0xff
    };

    @Test
    void keepsEveryAttributeOfEveryType() {
        byte[] content = random(10_000);
        byte[] layer = new TarBuilder()
                .mode(01777)
                .owner(5, 6)
                .directory("./")
                .mode(04755)
                .owner(1000, 1001)
                .mtime(1_600_000_001)
                .pax("mtime", "1600000001.123456789")
                .file("usr/bin/su", content)
                .hardlink("usr/bin/su2", "usr/bin/su")
                .xattr("security.capability", CAPABILITY)
                .xattr("user.note", TarBuilder.latin1("a=b\n\0c"))
                .file("usr/bin/ping", "ping")
                .mode(0640)
                .symlink("bin", "usr/bin")
                .device('3', "dev/null", 1, 3)
                .device('4', "dev/disk", 259, 70_000)
                .fifo("run/pipe")
                .owner(3_000_000_000L, 4_000_000_000L)
                .file("big-owner", "")
                .pax("mtime", "-1.25")
                .file("before-1970", "x")
                .bytes();

        Map<String, String> lines = Rootfs.describe(Rootfs.of(folder, layer));

        String digest = Digest.sha256(content).hex().substring(0, 16);
        Map<String, String> expected = new TreeMap<>();
        expected.put("/", "d 1777 5:6 1700000000.000000000 n5");
        expected.put("/usr", "d 755 0:0 0.000000000 n3");
        expected.put("/usr/bin", "d 755 0:0 0.000000000 n2");
        expected.put("/usr/bin/su", "- 10000 " + digest + " 4755 1000:1001 1600000001.123456789 n2");
        expected.put("/usr/bin/su2", expected.get("/usr/bin/su"));
        expected.put(
                "/usr/bin/ping",
                "- 4 " + Digest.sha256(TarBuilder.latin1("ping")).hex().substring(0, 16)
                        + " 644 0:0 1700000000.000000000 n1 security.capability="
                        + java.util.HexFormat.of().formatHex(CAPABILITY) + " user.note=613d620a0063");
        expected.put("/bin", "l usr/bin 777 0:0 1700000000.000000000 n1");
        expected.put("/dev", "d 755 0:0 0.000000000 n2");
        expected.put("/dev/null", "c 1,3 600 0:0 1700000000.000000000 n1");
        expected.put("/dev/disk", "b 259,70000 600 0:0 1700000000.000000000 n1");
        expected.put("/run", "d 755 0:0 0.000000000 n2");
        expected.put("/run/pipe", "p 600 0:0 1700000000.000000000 n1");
        expected.put("/big-owner", "- 0 e3b0c44298fc1c14 644 3000000000:4000000000 1700000000.000000000 n1");
        expected.put("/before-1970", "- 1 2d711642b726b044 644 0:0 -2.750000000 n1");
        assertThat(lines).containsExactlyEntriesOf(expected);
    }

    @Test
    void appliesLayersInOrderWithWhiteoutsAndLinksAcrossLayers() {
        byte[] base = new TarBuilder()
                .directory("etc/")
                .file("etc/keep", "keep")
                .file("etc/gone", "gone")
                .directory("etc/tree/")
                .file("etc/tree/a", "a")
                .directory("opaque/")
                .file("opaque/old", "old")
                .file("linked", "content")
                .file("file-to-dir", "file")
                .directory("dir-to-file/")
                .file("dir-to-file/x", "x")
                .bytes();
        byte[] middle = new TarBuilder()
                .file("etc/.wh.gone", "")
                .file("etc/.wh.tree", "")
                // The opaque marker stands behind an entry of its own layer, which stays.
                .file("opaque/new", "new")
                .file("opaque/.wh..wh..opq", "")
                .hardlink("etc/linked", "linked")
                .file("dir-to-file", "now a file")
                .directory("file-to-dir/")
                .file("file-to-dir/y", "y")
                .file(".wh..wh.plnk", "aufs")
                .bytes();
        byte[] top = new TarBuilder()
                .mode(0700)
                .directory("etc/")
                .file("linked", "replaced, the other name stays")
                .file("etc/.wh.missing", "")
                .bytes();

        Path image = Rootfs.of(folder, base, middle, top);

        assertThat(Rootfs.names(image))
                .containsExactly(
                        "/dir-to-file",
                        "/etc",
                        "/etc/keep",
                        "/etc/linked",
                        "/file-to-dir",
                        "/file-to-dir/y",
                        "/linked",
                        "/opaque",
                        "/opaque/new");
        assertThat(Rootfs.text(image, "/etc/linked")).isEqualTo("content");
        assertThat(Rootfs.text(image, "/linked")).startsWith("replaced");
        assertThat(Rootfs.describe(image))
                .containsEntry("/etc", "d 700 0:0 1700000000.000000000 n2")
                .hasEntrySatisfying("/etc/linked", line -> assertThat(line).endsWith(" n1"));
    }

    @Test
    void hardLinkAcrossLayersSharesTheInode() {
        byte[] base = new TarBuilder().mode(0640).owner(7, 8).file("a", "data").bytes();
        byte[] top = new TarBuilder().hardlink("d/b", "/a").bytes();

        Map<String, String> lines = Rootfs.describe(Rootfs.of(folder, base, top));

        assertThat(lines.get("/d/b"))
                .isEqualTo(lines.get("/a"))
                .contains(" 640 7:8 ")
                .endsWith(" n2");
    }

    @Test
    void keepsNamesAsTheBytesTheyAre() {
        String latin = "caf\u00e9";
        String utf8 = "caf\u00c3\u00a9";
        byte[] layer = new TarBuilder()
                .file(latin, "1")
                .pax("path", utf8 + "/\u00ff\u0001")
                .file("short", "2")
                .pax("linkpath", "\u00fe")
                .symlink("link", "short")
                .bytes();

        Path image = Rootfs.of(folder, layer);

        assertThat(Rootfs.names(image))
                .containsExactlyInAnyOrder("/" + latin, "/" + utf8, "/" + utf8 + "/\u00ff\u0001", "/link");
        assertThat(Rootfs.describe(image).get("/link")).startsWith("l \u00fe ");
    }

    @Test
    void listsLargeDirectoriesAndLongNames() {
        TarBuilder tar = new TarBuilder();
        TreeSet<String> expected = new TreeSet<>();
        for (int i = 0; i < 3000; i++) {
            String name = "!".repeat(i % 200) + i + "x".repeat(i % 50);
            tar.file("many/" + name, String.valueOf(i));
            expected.add("/many/" + name);
        }
        String longest = "n".repeat(255);
        tar.file("many/" + longest, "longest").symlink("many/link", "t".repeat(4095));
        expected.add("/many/" + longest);
        expected.add("/many/link");
        expected.add("/many");

        Path image = Rootfs.of(folder, tar.bytes());

        assertThat(Rootfs.names(image)).containsExactlyElementsOf(expected);
        assertThat(Rootfs.text(image, "/many/" + longest)).isEqualTo("longest");
        for (int i = 0; i < 3000; i++) {
            assertThat(Rootfs.text(image, "/many/" + "!".repeat(i % 200) + i + "x".repeat(i % 50)))
                    .isEqualTo(String.valueOf(i));
        }
        for (String absent : new String[] {"\u0001", "!!", "1500y", "zzz"}) {
            assertThat(Rootfs.text(image, "/many/" + absent)).isNull();
        }
        Fsck.requireInstalled();
        Fsck.accepts(image);
    }

    @Test
    void placesInodesOfEverySizeSoThatTheKernelsRulesHold() {
        TarBuilder tar = new TarBuilder();
        Random random = new Random(7);
        for (int i = 0; i < 400; i++) {
            tar.xattr("user.a", random(random.nextInt(3900))).symlink("link" + i, "t".repeat(1 + random.nextInt(4000)));
            tar.xattr("user.b", random(random.nextInt(8000))).directory("dir" + i + "/");
            tar.file("dir" + i + "/" + "f".repeat(1 + random.nextInt(250)), random(random.nextInt(9000)));
        }

        Path image = Rootfs.of(folder, tar.bytes());

        assertThat(Rootfs.names(image)).hasSize(1200);
        Fsck.requireInstalled();
        Fsck.accepts(image);
        Fsck.accepts(image, "--extract=" + folder.resolve("extracted"), "--no-preserve");
    }

    @Test
    void storesHolesAsHoles() throws IOException {
        long size = 3L << 40;
        byte[] map = TarBuilder.latin1("2\n%d\n5\n%d\n5\n".formatted(1 << 20, size - 5));
        byte[] data = new byte[522];
        System.arraycopy(map, 0, data, 0, map.length);
        System.arraycopy(TarBuilder.latin1("helloworld"), 0, data, 512, 10);
        byte[] layer = new TarBuilder()
                .pax("GNU.sparse.major", "1")
                .pax("GNU.sparse.minor", "0")
                .pax("GNU.sparse.name", "sparse")
                .pax("GNU.sparse.realsize", String.valueOf(size))
                .file("GNUSparseFile.0/sparse", data)
                .bytes();

        Path image = Rootfs.of(folder, layer);

        assertThat(Files.size(image)).isLessThan(64L << 20);
        try (ErofsReader reader = ErofsReader.open(image)) {
            reader.walk((file, inode) -> {
                if (inode.isRegular()) {
                    assertThat(file).isEqualTo("/sparse");
                    assertThat(inode.size()).isEqualTo(size);
                    assertThat(reader.content(inode, (1 << 20) - 1, 7)).isEqualTo(TarBuilder.latin1("\0hello\0"));
                    assertThat(reader.content(inode, size - 6, 6)).isEqualTo(TarBuilder.latin1("\0world"));
                    assertThat(reader.content(inode, size / 2, 4)).isEqualTo(new byte[4]);
                }
            });
        }
    }

    @Test
    void readsTheSameTreeFromEveryCompression() throws IOException {
        byte[] tar = new TarBuilder().file("a", random(100_000)).file("b", "b").bytes();
        byte[] gzipInTwo = concat(
                ImageBuilder.gzip(Arrays.copyOf(tar, 5000)),
                ImageBuilder.gzip(Arrays.copyOfRange(tar, 5000, tar.length)));

        Path plain = Rootfs.prepare(folder.resolve("1"), new ImageBuilder().layer(tar));
        Path gzip = Rootfs.prepare(folder.resolve("2"), new ImageBuilder().gzipLayer(tar));
        Path zstd = Rootfs.prepare(folder.resolve("3"), new ImageBuilder().zstdLayer(tar));
        Path members = Rootfs.prepare(folder.resolve("4"), new ImageBuilder().layer(LAYER + "+gzip", gzipInTwo, tar));
        Path mislabelled = Rootfs.prepare(folder.resolve("5"), new ImageBuilder().layer(LAYER + "+gzip", tar, tar));

        assertThat(gzip).hasSameBinaryContentAs(plain);
        assertThat(zstd).hasSameBinaryContentAs(plain);
        assertThat(members).hasSameBinaryContentAs(plain);
        assertThat(mislabelled).hasSameBinaryContentAs(plain);
    }

    /** They can be pulled in pieces, by an index that who reads the whole need not know. */
    @Test
    void estargzAndChunkedZstdAreReadAsPlainStreams() throws IOException {
        byte[] tar = new TarBuilder().file("a", random(100_000)).file("b", "b").bytes();
        byte[] first = Arrays.copyOf(tar, tar.length / 2);
        byte[] rest = Arrays.copyOfRange(tar, tar.length / 2, tar.length);
        // RFC 8878 §3.1.2: a frame to be skipped, of eight bytes.
        byte[] index = {0x50, 0x2a, 0x4d, 0x18, 8, 0, 0, 0, 'i', 'n', 'd', 'e', 'x', 0, 0, 0};
        byte[] estargz = concat(ImageBuilder.gzip(first), ImageBuilder.gzip(rest), ImageBuilder.gzip(new byte[0]));
        byte[] chunked = concat(Zstd.compress(first), index, Zstd.compress(rest), index);
        Path plain = Rootfs.prepare(folder.resolve("1"), new ImageBuilder().layer(tar));

        assertThat(Rootfs.prepare(folder.resolve("2"), new ImageBuilder().layer(LAYER + "+gzip", estargz, tar)))
                .hasSameBinaryContentAs(plain);
        assertThat(Rootfs.prepare(folder.resolve("3"), new ImageBuilder().layer(LAYER + "+zstd", chunked, tar)))
                .hasSameBinaryContentAs(plain);
    }

    @Test
    void anImageWithoutLayersIsAnEmptyRoot() {
        assertThat(Rootfs.names(Rootfs.of(folder))).isEmpty();
    }

    @Test
    void theNewestLayerWinsOverAFileThatItsEntriesLieBelow() {
        byte[] lower = new TarBuilder()
                .file("a", "1")
                .hardlink("b", "a")
                .symlink("link", "c")
                .file("c", "2")
                .device('3', "d", 1, 3)
                .file("opaque", "3")
                .bytes();
        byte[] upper = new TarBuilder()
                .file("a/x/y", "4")
                .file("link/z", "5")
                .file("d/e", "6")
                .file("opaque/.wh..wh..opq", "")
                .file("b/.wh.gone", "")
                .bytes();

        Path image = Rootfs.of(folder, lower, upper);

        Map<String, String> files = Rootfs.describe(image);
        assertThat(Rootfs.names(image))
                .containsExactly("/a", "/a/x", "/a/x/y", "/b", "/c", "/d", "/d/e", "/link", "/link/z", "/opaque");
        assertThat(files.get("/a")).startsWith("d 755 0:0 0.000000000 ");
        assertThat(files.get("/b")).startsWith("- 1 ").contains(" n1");
        assertThat(files.get("/c")).startsWith("- 1 ");
        assertThat(files.get("/opaque")).startsWith("d 755 ");
        assertThat(Rootfs.text(image, "/link/z")).isEqualTo("5");
    }

    @Test
    void dropsTheAttributesThatTheOverlayWouldObey() {
        byte[] layer = new TarBuilder()
                .xattr("trusted.overlay.opaque", TarBuilder.latin1("y"))
                .xattr("trusted.other", TarBuilder.latin1("1"))
                .directory("d/")
                .bytes();

        assertThat(Rootfs.describe(Rootfs.of(folder, layer)).get("/d")).endsWith(" n2 trusted.other=31");
    }

    private static byte[] concat(byte[]... parts) {
        ByteArrayOutputStream whole = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            whole.writeBytes(part);
        }
        return whole.toByteArray();
    }

    private static byte[] random(int length) {
        byte[] bytes = new byte[length];
        new Random(length).nextBytes(bytes);
        return bytes;
    }
}
