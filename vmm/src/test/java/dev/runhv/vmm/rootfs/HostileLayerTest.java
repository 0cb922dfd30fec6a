package dev.runhv.vmm.rootfs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.tar.Sparse;
import dev.runhv.vmm.content.tar.TarEntry;
import dev.runhv.vmm.content.tar.TarLimits;
import dev.runhv.vmm.image.ImageReference;
import dev.runhv.vmm.image.ImageSource;
import dev.runhv.vmm.testing.ImageBuilder;
import dev.runhv.vmm.testing.TarBuilder;
import java.io.OutputStream;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Layers that try to reach what is not theirs, or to cost more than they are worth: the right tree or one clear error. */
class HostileLayerTest {
    @TempDir
    private Path folder;

    /** A name, a layer, and lines that begin as those of the tree do; attributes after the content are not compared. */
    static Stream<Arguments> escapes() {
        return Stream.of(
                arguments(
                        "symlink to an absolute path",
                        tar().symlink("localetc", "/etc").file("/localetc/unbroken", "broken"),
                        List.of("/etc", "/etc/unbroken", "/localetc")),
                arguments(
                        "symlink up and out",
                        tar().symlink("localetc", "../../../../../../etc").file("localetc/unbroken", "broken"),
                        List.of("/etc", "/etc/unbroken", "/localetc")),
                arguments(
                        "several absolute symlinks",
                        tar().symlink("loc", "/etc").symlink("localetc", "/loc").file("localetc/x", "1"),
                        List.of("/etc", "/etc/x", "/loc", "/localetc")),
                arguments(
                        "several relative symlinks",
                        tar().symlink("dir/up", "..")
                                .symlink("dir/upup", "up/..")
                                .file("dir/upup/etc/x", "1"),
                        List.of("/dir", "/dir/up", "/dir/upup", "/etc", "/etc/x")),
                arguments(
                        "symlink is replaced by the file of its name",
                        tar().symlink("emptyfile", "etc/victim").file("emptyfile", "new"),
                        List.of("/emptyfile")),
                arguments(
                        "hard link through a symlink",
                        tar().file("etc/passwd", "inside")
                                .symlink("localetc", "/etc")
                                .hardlink("localpasswd", "/localetc/passwd"),
                        List.of("/etc", "/etc/passwd", "/localetc", "/localpasswd")),
                arguments(
                        "hard link up and out",
                        tar().file("etc/passwd", "inside").hardlink("localpasswd", "../../../../etc/passwd"),
                        List.of("/etc", "/etc/passwd", "/localpasswd")),
                arguments(
                        "hard link by a name that leaves the root",
                        tar().file("file", "1").hardlink("../../../a/b", "file"),
                        List.of("/a", "/a/b", "/file")),
                arguments(
                        "symlink's parent is a symlink to a directory",
                        tar().directory("lib/").symlink("usr", "/lib").symlink("usr/link", "x"),
                        List.of("/lib", "/lib/link", "/usr")),
                arguments(
                        "symlink that ends in a slash",
                        tar().directory("target/").symlink("link/", "target/").file("link/a", "1"),
                        List.of("/link", "/target", "/target/a")),
                arguments(
                        "symlink takes the place of a directory",
                        tar().directory("dir/")
                                .file("dir/a", "1")
                                .symlink("dir", "/elsewhere")
                                .file("dir/b", "2"),
                        List.of("/dir", "/elsewhere", "/elsewhere/b")),
                arguments(
                        "directory takes the place of a symlink",
                        tar().directory("real/")
                                .symlink("dir", "real")
                                .directory("dir/")
                                .file("dir/a", "1"),
                        List.of("/dir", "/dir/a", "/real")),
                arguments(
                        "directory takes the place of a symlink with a hard link",
                        tar().symlink("a", "/etc")
                                .hardlink("b", "a")
                                .directory("a/")
                                .file("a/x", "1"),
                        List.of("/a", "/a/x", "/b")),
                arguments(
                        "hard link to a symlink links the symlink",
                        tar().symlink("a", "/etc/passwd").hardlink("b", "a").file("b", "over the link"),
                        List.of("/a", "/b")),
                arguments(
                        "names with dots and slashes",
                        tar().file("./a/./b/../c//d", "1").directory("/a///").file("../../x", "2"),
                        List.of("/a", "/a/c", "/a/c/d", "/x")),
                arguments(
                        "PAX path that is absolute",
                        tar().pax("path", "/etc/x").file("harmless", "1"),
                        List.of("/etc", "/etc/x")),
                arguments(
                        "PAX path up, out and through a symlink",
                        tar().symlink("out", "/..")
                                .pax("path", "../../out/etc/x")
                                .file("harmless", "1"),
                        List.of("/etc", "/etc/x", "/out")),
                arguments(
                        "PAX path over a GNU long name",
                        tar().pax("path", "short").file("n".repeat(200), "1"),
                        List.of("/short")),
                arguments(
                        "PAX target of a hard link up and out",
                        tar().file("etc/passwd", "1")
                                .pax("linkpath", "../../etc/passwd")
                                .hardlink("a", "harmless"),
                        List.of("/a", "/etc", "/etc/passwd")),
                arguments(
                        "PAX size of nothing before data that is a header",
                        tar().pax("size", "0").file("a", TarBuilder.header('0', "b", "", 0, 0644, 0, 0, 0, 0, 0)),
                        List.of("/a", "/b")),
                arguments(
                        "device over a directory",
                        tar().directory("d/").file("d/x", "1").device('4', "d", 8, 0),
                        List.of("/d")));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("escapes")
    void stayInsideTheRoot(String name, TarBuilder layer, List<String> expected) {
        assertThat(Rootfs.names(Rootfs.of(folder, layer.bytes()))).containsExactlyElementsOf(expected);
    }

    /** A lower layer, an upper one, and what remains. */
    static Stream<Arguments> whiteouts() {
        return Stream.of(
                arguments(
                        "of the root's parent",
                        tar().file("etc/passwd", "1"),
                        tar().file(".wh...", ""),
                        List.of("/etc", "/etc/passwd")),
                arguments(
                        "of the root",
                        tar().file("etc/passwd", "1"),
                        tar().file(".wh..", ""),
                        List.of("/etc", "/etc/passwd")),
                arguments(
                        "of the current directory",
                        tar().file("etc/passwd", "1"),
                        tar().file("etc/.wh..", ""),
                        List.of("/etc", "/etc/passwd")),
                arguments(
                        "of a parent",
                        tar().file("etc/passwd", "1"),
                        tar().file("etc/.wh...", ""),
                        List.of("/etc", "/etc/passwd")),
                arguments(
                        "of a symlink, not of its target",
                        tar().file("etc/passwd", "1").symlink("local", "etc"),
                        tar().file(".wh.local", ""),
                        List.of("/etc", "/etc/passwd")),
                arguments(
                        "through a symlink",
                        tar().file("etc/passwd", "1").symlink("local", "/etc"),
                        tar().file("local/.wh.passwd", ""),
                        List.of("/etc", "/local")),
                arguments(
                        "behind a dead symlink",
                        tar().symlink("dead", "/nowhere"),
                        tar().file("dead/.wh.x", ""),
                        List.of("/dead")),
                arguments(
                        "with dots in its path",
                        tar().file("etc/passwd", "1"),
                        tar().file("dir/../etc/.wh.passwd", ""),
                        List.of("/etc")),
                arguments("below a file", tar().file("file", "1"), tar().file("file/.wh.x", ""), List.of("/file")),
                arguments(
                        "of what the same layer brings, in either order",
                        tar().file("a", "old").file("b", "old").directory("c/").file("c/old", "1"),
                        tar().file(".wh.a", "")
                                .file("a", "new")
                                .file("b", "new")
                                .file(".wh.b", "")
                                .directory("c/")
                                .file("c/new", "2")
                                .file(".wh.c", ""),
                        List.of("/a", "/b", "/c", "/c/new")),
                arguments(
                        "opaque, below what the same layer brings",
                        tar().file("d/sub/old", "1").file("d/old", "1"),
                        tar().file("d/sub/new", "2").file("d/.wh..wh..opq", ""),
                        List.of("/d", "/d/sub", "/d/sub/new")),
                arguments(
                        "opaque at the root",
                        tar().file("a/b", "1"),
                        tar().file(".wh..wh..opq", "").file("c", "1"),
                        List.of("/c")),
                arguments(
                        "of what a hard link of the same layer keeps",
                        tar().file("a", "1"),
                        tar().hardlink("b", "a").file(".wh.a", ""),
                        List.of("/b")),
                arguments(
                        "that is a hard link, a symlink or a directory",
                        tar().file("a", "1").file("b", "1").file("c", "1").file("d", "1"),
                        tar().hardlink(".wh.a", "d").symlink(".wh.b", "d").directory(".wh.c/"),
                        List.of("/d")),
                arguments(
                        "with the metadata of AUFS",
                        tar().file("a", "1"),
                        tar().directory(".wh..wh.plnk/")
                                .file(".wh..wh.aufs", "x")
                                .directory(".wh..wh.orph/"),
                        List.of("/a")),
                arguments(
                        "with the targets of AUFS's hard links",
                        tar().file("a", "1"),
                        tar().file(".wh..wh.plnk/1.2", "1").hardlink("b", ".wh..wh.plnk/1.2"),
                        List.of("/a", "/b")));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("whiteouts")
    void whiteoutsHideOnlyLowerLayers(String name, TarBuilder lower, TarBuilder upper, List<String> expected) {
        Path image = Rootfs.of(folder, lower.bytes(), upper.bytes());

        assertThat(Rootfs.names(image)).containsExactlyElementsOf(expected);
    }

    static Stream<Arguments> nonsense() {
        String deep = "d/".repeat(1500);
        return Stream.of(
                arguments("whiteout of nothing", tar().file("etc/.wh.", ""), "etc/.wh.: it is a whiteout of nothing"),
                arguments(
                        "hard link to nothing",
                        tar().hardlink("a", "b"),
                        "a: it is a hard link to b, which does not exist"),
                arguments(
                        "hard link to a whiteout",
                        tar().file(".wh.b", "").hardlink("a", ".wh.b"),
                        "a: it is a hard link to .wh.b, which does not exist"),
                arguments("hard link to itself", tar().hardlink("a", "a"), "which does not exist"),
                arguments("hard link to a directory", tar().directory("d/").hardlink("a", "d"), "directory d"),
                arguments("hard link to the root", tar().hardlink("a", "/"), "hard link to the directory /"),
                arguments("file at the root", tar().file("..", "x"), "it would replace the root directory"),
                arguments("symlink at the root", tar().symlink("./", "/etc"), "it would replace the root directory"),
                arguments("entry without a name", tar().file("", "x"), "no name"),
                arguments("symlink to nothing", tar().symlink("a", ""), "symbolic link to nothing"),
                arguments(
                        "symlinks in a circle",
                        tar().symlink("a", "b").symlink("b", "a").file("a/x", "1"),
                        "too many symbolic links"),
                arguments("symlinks that double the path", doubling(), "too"),
                arguments(
                        "parent is a file",
                        tar().file("a", "1").file("a/b", "2"),
                        "a/b: its parent a is not a directory"),
                arguments(
                        "parent is a file that the same layer replaced",
                        tar().directory("a/").file("a", "1").file("a/b", "2"),
                        "a/b: its parent a is not a directory"),
                arguments("name too long", tar().file("n".repeat(256), "1"), "more than 255 bytes"),
                arguments("path too long", tar().file("p/".repeat(2049), "1"), "more than 4096 bytes"),
                arguments(
                        "tree too deep",
                        tar().directory(deep).symlink("short", deep).directory("short/" + deep),
                        "nested more than"),
                arguments("owner out of range", tar().owner(1L << 32, 0).file("a", ""), "owner 4294967296 is out of"),
                arguments("owner minus one", tar().owner(0xffff_ffffL, 0).file("a", ""), "out of the range"),
                arguments("negative owner", tar().owner(-5, 0).file("a", ""), "owner -5 is out of"),
                arguments("major out of range", tar().device('3', "a", 4096, 0), "device number"),
                arguments("unknown type", tar().entry('Z', "a", "", new byte[0], 0644, 0, 0), "unknown type 0x5a"),
                arguments(
                        "too many attributes", attributes(20, 4000), "extended attributes have more than 65536 bytes"),
                arguments("NUL in a path", tar().pax("path", "a\0b").file("x", ""), "NUL in path"),
                arguments(
                        "malformed PAX",
                        tar().raw(extension('x', TarBuilder.latin1("99 path=a\n"))),
                        "malformed record"),
                arguments(
                        "PAX length overflows",
                        tar().raw(extension('x', TarBuilder.latin1("99999999999999999999 path=a\n"))),
                        "malformed record"),
                arguments(
                        "PAX size of GBs",
                        tar().raw(TarBuilder.header('x', "p", "", 4L << 30, 0, 0, 0, 0, 0, 0)),
                        "more than " + TarLimits.PAX_HEADER_BYTES),
                arguments(
                        "global PAX of GBs",
                        tar().raw(TarBuilder.header('g', "p", "", 4L << 30, 0, 0, 0, 0, 0, 0)),
                        "more than"),
                arguments(
                        "long name of GBs",
                        tar().raw(TarBuilder.header('L', "p", "", 4L << 30, 0, 0, 0, 0, 0, 0)),
                        "more than " + TarLimits.LONG_NAME_BYTES),
                arguments("endless extensions", endlessExtensions(), "too many extension headers"),
                arguments(
                        "negative size",
                        tar().raw(TarBuilder.header('0', "a", "", -1, 0644, 0, 0, 0, 0, 0)),
                        "size is negative"),
                arguments(
                        "huge size",
                        tar().raw(TarBuilder.header('0', "a", "", Long.MAX_VALUE, 0644, 0, 0, 0, 0, 0)),
                        "size is too large"),
                arguments(
                        "size beyond the limit",
                        tar().raw(TarBuilder.header('0', "a", "", 1L << 50, 0644, 0, 0, 0, 0, 0)),
                        "a: it claims 1125899906842624 bytes"),
                arguments(
                        "label of exabytes",
                        tar().raw(TarBuilder.header('V', "v", "", Long.MAX_VALUE, 0, 0, 0, 0, 0, 0)),
                        "size is too large"),
                arguments(
                        "PAX size of exabytes",
                        tar().pax("size", String.valueOf(Long.MAX_VALUE)).file("a", ""),
                        "size is too large"),
                arguments(
                        "2 GiB that are not there",
                        tar().raw(TarBuilder.header('0', "a", "", 1L << 31, 0644, 0, 0, 0, 0, 0)),
                        "truncated"),
                arguments(
                        "size beyond the data",
                        tar().raw(TarBuilder.header('0', "a", "", 1 << 20, 0644, 0, 0, 0, 0, 0)),
                        "truncated"),
                arguments(
                        "sparse file of exabytes",
                        sparse(Long.MAX_VALUE, "0,1"),
                        "it claims 9223372036854775807 bytes"),
                arguments("sparse map out of order", sparse(1 << 20, "4096,0,0,1"), "out of order"),
                arguments("sparse map beyond the end", sparse(10, "9,2"), "beyond its end"),
                arguments("sparse map with an overflow", sparse(1 << 20, "1,9223372036854775807"), "beyond its end"),
                arguments("sparse map of another size", sparse(1 << 20, "0,2"), "stores 1 bytes"),
                arguments(
                        "a checksum that is wrong", tar().raw(new byte[511]).raw(new byte[] {1}), "not a tar header"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("nonsense")
    void areRefusedWithAReason(String name, TarBuilder layer, String message) {
        assertThatThrownBy(() -> Rootfs.of(folder, layer.bytes()))
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CORRUPT_INPUT))
                .hasMessageContainingAll("layer 1 of 1", message);
        assertThat(folder.resolve("store/rootfs").toFile().list()).isEmpty();
    }

    @Test
    void refusesAHardLinkToWhatAWhiteoutHid() {
        byte[] lower = tar().file("a", "1").bytes();
        byte[] upper = tar().file(".wh.a", "").hardlink("b", "a").bytes();

        assertThatThrownBy(() -> Rootfs.of(folder, lower, upper))
                .isInstanceOf(RunhvException.class)
                .hasMessageContainingAll("layer 2 of 2", "hard link to a, which does not exist");
    }

    @Test
    void takesTheLongestNamesAndPaths() {
        String path = ("n".repeat(255) + "/").repeat(16);

        Path image = Rootfs.of(folder, tar().directory(path).bytes());

        assertThat(path).hasSize(RootfsLimits.PATH_BYTES);
        assertThat(Rootfs.names(image)).hasSize(16).contains("/" + path.substring(0, path.length() - 1));
    }

    /** Few headers that ask for much: each costs one look-up of a long path through links, or a walk over a folder. */
    static Stream<Arguments> toil() {
        String links = "d/../".repeat(800);
        String target = links + "d";
        return Stream.of(
                arguments(
                        "long links",
                        List.of(
                                entry(TarEntry.Type.DIRECTORY, "d", ""),
                                entry(TarEntry.Type.SYMBOLIC_LINK, "l", target)),
                        "l/x"),
                arguments(
                        "links of slashes",
                        List.of(
                                entry(TarEntry.Type.DIRECTORY, "d", ""),
                                entry(TarEntry.Type.SYMBOLIC_LINK, "l", "/".repeat(4000) + "d")),
                        "l/x"),
                arguments("long paths", List.of(), "d/".repeat(1500)),
                arguments("opaque whiteouts", children("d/", 2000), "d/.wh..wh..opq"),
                arguments("whiteouts of a folder", children("d/", 2000), ".wh.d"),
                arguments("hard links to nowhere near", children("d/".repeat(1500), 1), ""));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("toil")
    void theWorkThatFewHeadersAskForHasALimit(String name, List<TarEntry> before, String again)
            throws CorruptInputException {
        long limit = 100_000;
        RootTree tree = new RootTree(limit);
        tree.beginLayer();
        for (TarEntry entry : before) {
            tree.apply(entry, null);
        }
        int[] accepted = {0};

        assertThatThrownBy(() -> {
                    for (int i = 0; i < 1000; i++) {
                        tree.apply(
                                again.isEmpty()
                                        ? entry(TarEntry.Type.HARD_LINK, "h" + i, "d/".repeat(1500) + "0")
                                        : entry(TarEntry.Type.FIFO, again.replace("x", "x" + i), ""),
                                null);
                        accepted[0]++;
                    }
                })
                .isInstanceOf(CorruptInputException.class)
                .hasMessageContaining("take more than 100000 steps");
        assertThat(tree.steps()).isLessThanOrEqualTo(limit);
        assertThat(accepted[0]).isBetween(10, 70);
    }

    @Test
    void theLimitOfTheWorkLeavesRoomForTheLargestHonestTree() throws CorruptInputException {
        RootTree tree = new RootTree();
        tree.beginLayer();
        tree.apply(entry(TarEntry.Type.SYMBOLIC_LINK, "lib", "usr/lib"), null);
        String parent = "lib/" + "directory/".repeat(20);
        for (int i = 0; i < 1000; i++) {
            tree.apply(entry(TarEntry.Type.FIFO, parent + i, ""), null);
        }

        assertThat(tree.steps() * (RootfsLimits.ENTRIES / 1000)).isLessThan(RootfsLimits.STEPS / 5);
    }

    @Test
    void anOpaqueWhiteoutReachesTheDeepestFolder() {
        String half = "d/".repeat(1000);
        byte[] lower =
                tar().directory(half).symlink("s", half).directory("s/" + half).bytes();

        assertThat(Rootfs.names(
                        Rootfs.of(folder, lower, tar().file(".wh..wh..opq", "").bytes())))
                .isEmpty();
    }

    private static TarEntry entry(TarEntry.Type type, String name, String link) {
        return new TarEntry(type, name, link, 0755, 0, 0, 0, 0, 0, 0, 0, Sparse.NONE, Map.of());
    }

    private static List<TarEntry> children(String parent, int count) {
        return IntStream.range(0, count)
                .mapToObj(i -> entry(TarEntry.Type.FIFO, parent + i, ""))
                .toList();
    }

    @Test
    void theNumberOfFilesHasALimit() throws CorruptInputException {
        RootTree tree = new RootTree();
        tree.beginLayer();
        for (int i = 0; i < RootfsLimits.ENTRIES; i++) {
            tree.apply(entry(TarEntry.Type.FIFO, "f" + i, ""), null);
        }

        assertThatThrownBy(() -> tree.apply(entry(TarEntry.Type.FIFO, "one more", ""), null))
                .hasMessageContaining("more than 1048576 files");
    }

    @Test
    void attributesHaveALimitTogetherThatCountsWhatTheyCost() throws CorruptInputException {
        Map<String, byte[]> many = new HashMap<>();
        for (int i = 0; i < 4000; i++) {
            many.put("user." + i, new byte[1]);
        }
        RootTree tree = new RootTree();
        tree.beginLayer();
        long eachAtLeast = 4000 * RootfsLimits.XATTR_OVERHEAD;
        int[] accepted = {0};

        assertThatThrownBy(() -> {
                    while (true) {
                        tree.apply(
                                new TarEntry(
                                        TarEntry.Type.FIFO,
                                        "f" + accepted[0],
                                        "",
                                        0,
                                        0,
                                        0,
                                        0,
                                        0,
                                        0,
                                        0,
                                        0,
                                        Sparse.NONE,
                                        many),
                                null);
                        accepted[0]++;
                    }
                })
                .isInstanceOf(CorruptInputException.class)
                .hasMessageContaining("extended attributes of the file system have more than");
        assertThat(accepted[0]).isBetween(200, (int) (RootfsLimits.XATTR_TOTAL_BYTES / eachAtLeast));
    }

    @Test
    void theMapsOfSparseFilesHaveALimitTogether() {
        TarBuilder tar = tar();
        for (int i = 0; i < 65; i++) {
            tar.pax("GNU.sparse.size", String.valueOf(RootfsLimits.FILE_BYTES))
                    .pax("GNU.sparse.numblocks", "1")
                    .pax("GNU.sparse.map", "0,1")
                    .file("sparse" + i, "x");
        }

        assertThatThrownBy(() -> Rootfs.of(folder, tar.bytes()))
                .isInstanceOf(RunhvException.class)
                .hasMessageContainingAll("sparse64", "the sparse files of the image are too many or too large");
    }

    @Test
    void aSparseFileCannotMakeTheImageLargerThanItsLimit() {
        int pieces = 5000;
        StringBuilder map = new StringBuilder();
        for (long i = 0; i < pieces; i++) {
            map.append(i == 0 ? "" : ",").append(i << 26).append(",1");
        }
        byte[] layer = tar().pax("GNU.sparse.size", String.valueOf(RootfsLimits.FILE_BYTES))
                .pax("GNU.sparse.numblocks", String.valueOf(pieces))
                .pax("GNU.sparse.map", map.toString())
                .file("sparse", "x".repeat(pieces))
                .bytes();

        assertThatThrownBy(() -> Rootfs.of(folder, layer))
                .isInstanceOf(RunhvException.class)
                .hasMessageContainingAll("sparse: the image would have more than " + RootfsLimits.DATA_BYTES);
    }

    @Test
    void aLayerHasALimitOnceItIsDecompressed() throws Exception {
        byte[] bomb = tar().file("a", new byte[1 << 20]).bytes();
        for (ImageBuilder image : List.of(
                new ImageBuilder().gzipLayer(bomb),
                new ImageBuilder().zstdLayer(bomb),
                new ImageBuilder().layer(bomb))) {
            Path layout = image.writeTo(folder.resolve("oci"), "t");
            Path file = folder.resolve("image");
            try (ImageSource source = ImageSource.open(new ImageReference.OciLayout(layout, ""), layout);
                    FileChannel channel = FileChannel.open(
                            file,
                            StandardOpenOption.CREATE,
                            StandardOpenOption.TRUNCATE_EXISTING,
                            StandardOpenOption.WRITE)) {
                LayerReader reader = new LayerReader(
                        new FileDataWriter(new ImageOutput(channel)),
                        new LayerEntries.Writer(OutputStream.nullOutputStream()),
                        100_000);

                assertThatThrownBy(() -> reader.read(source.layers().getFirst(), bytes -> {}))
                        .isInstanceOf(CorruptInputException.class)
                        .hasMessageContaining("the layer has more than 100000 bytes decompressed");
            }
        }
    }

    @Test
    void whatFollowsGzipIsAPartOfTheBlobOnly() {
        byte[] content = tar().file("a", "1").bytes();
        byte[] gzip = ImageBuilder.gzip(content);
        for (byte[] garbage : List.of(new byte[1000], TarBuilder.latin1("garbage".repeat(100_000)))) {
            Path image = Rootfs.prepare(
                    folder.resolve("" + garbage.length),
                    new ImageBuilder().layer(ImageBuilder.LAYER + "+gzip", concatenated(gzip, garbage), content));
            assertThat(Rootfs.names(image)).containsExactly("/a");
        }
        ImageBuilder half = new ImageBuilder()
                .layer(ImageBuilder.LAYER + "+gzip", concatenated(gzip, Arrays.copyOf(gzip, 30)), content);

        assertThatThrownBy(() -> Rootfs.prepare(folder.resolve("half"), half))
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CORRUPT_INPUT));
    }

    private static byte[] concatenated(byte[] a, byte[] b) {
        byte[] both = Arrays.copyOf(a, a.length + b.length);
        System.arraycopy(b, 0, both, a.length, b.length);
        return both;
    }

    @Test
    void namesAndLinkTargetsHaveALimitTogether() {
        RootTree tree = new RootTree();
        tree.beginLayer();
        String target = "t".repeat(RootfsLimits.PATH_BYTES - 1);

        assertThatThrownBy(() -> {
                    for (long i = 0; i <= RootfsLimits.NAME_TOTAL_BYTES / target.length(); i++) {
                        tree.apply(entry(TarEntry.Type.SYMBOLIC_LINK, "link" + i, target), null);
                    }
                })
                .hasMessageContaining("the names of the file system have more than");
    }

    @Test
    void refusesALayerThatIsNotTheOneOfTheDiffId() {
        byte[] one = tar().file("a", "1").bytes();
        byte[] other = tar().file("a", "2").bytes();

        assertThatThrownBy(() -> Rootfs.prepare(folder, new ImageBuilder().layer(ImageBuilder.LAYER, one, other)))
                .isInstanceOf(RunhvException.class)
                .hasMessageContainingAll("does not match its diff_id", "expected sha256:", "its content has sha256:");
    }

    @Test
    void refusesTruncatedAndDamagedCompression() {
        byte[] content = tar().file("a", "0123456789".repeat(10_000)).bytes();
        byte[] gzip = ImageBuilder.gzip(content);
        byte[] zstd = com.github.luben.zstd.Zstd.compress(content);
        byte[] flipped = gzip.clone();
        flipped[gzip.length - 6] ^= 1;

        for (byte[] stored :
                List.of(Arrays.copyOf(gzip, gzip.length / 2), Arrays.copyOf(zstd, zstd.length / 2), flipped)) {
            ImageBuilder image = new ImageBuilder().layer(ImageBuilder.LAYER, stored, content);
            assertThatThrownBy(() -> Rootfs.prepare(folder, image))
                    .isInstanceOfSatisfying(
                            RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CORRUPT_INPUT));
        }
    }

    @Test
    void refusesAZstdWindowOfMoreThan128Mebibytes() {
        byte[] content = tar().file("a", "1").bytes();
        Rootfs.prepare(folder.resolve("27"), new ImageBuilder().layer(ImageBuilder.LAYER, zstd(27, content), content));
        ImageBuilder image = new ImageBuilder().layer(ImageBuilder.LAYER, zstd(28, content), content);

        assertThatThrownBy(() -> Rootfs.prepare(folder.resolve("28"), image))
                .isInstanceOf(RunhvException.class)
                .hasMessageContaining("zstd data is damaged");
    }

    /** One raw block in a frame that asks for a window (RFC 8878 §3.1.1.1.2, §3.1.1.2). */
    private static byte[] zstd(int windowLog, byte[] content) {
        byte[] frame = new byte[9 + content.length];
        int block = content.length << 3 | 1;
        byte[] head = {
            0x28,
            (byte) 0xb5,
            0x2f,
            (byte) 0xfd,
            0,
            (byte) (windowLog - 10 << 3),
            (byte) block,
            (byte) (block >> 8),
            (byte) (block >> 16)
        };
        System.arraycopy(head, 0, frame, 0, head.length);
        System.arraycopy(content, 0, frame, head.length, content.length);
        return frame;
    }

    @Test
    void storesTwentyThousandEmptyFilesWithoutData() {
        TarBuilder tar = tar();
        for (int i = 0; i < 20_000; i++) {
            tar.file("f" + i, "");
        }

        Path image = Rootfs.of(folder, tar.bytes());

        assertThat(Rootfs.names(image)).hasSize(20_000);
        assertThat(image.toFile().length()).isLessThan(4 << 20);
    }

    private static TarBuilder tar() {
        return new TarBuilder();
    }

    private static TarBuilder doubling() {
        TarBuilder tar = tar().directory("d/").symlink("l0", "d/../d/../d/../d");
        for (int i = 1; i < 20; i++) {
            tar.symlink("l" + i, ("l" + (i - 1) + "/../").repeat(8) + "d");
        }
        return tar.file("l19/x", "1");
    }

    private static TarBuilder attributes(int count, int size) {
        TarBuilder tar = tar();
        for (int i = 0; i < count; i++) {
            tar.xattr("user.a" + i, new byte[size]);
        }
        return tar.file("a", "");
    }

    private static TarBuilder endlessExtensions() {
        TarBuilder tar = tar();
        for (int i = 0; i < 50; i++) {
            tar.raw(extension('x', TarBuilder.record("comment", new byte[] {'x'})));
        }
        return tar.file("a", "");
    }

    private static TarBuilder sparse(long size, String map) {
        return tar().pax("GNU.sparse.size", String.valueOf(size))
                .pax("GNU.sparse.numblocks", "1")
                .pax("GNU.sparse.map", map)
                .file("sparse", "x");
    }

    private static byte[] extension(char type, byte[] data) {
        byte[] header = TarBuilder.header(type, "ext", "", data.length, 0, 0, 0, 0, 0, 0);
        byte[] whole = Arrays.copyOf(header, 1024);
        System.arraycopy(data, 0, whole, 512, data.length);
        return whole;
    }
}
