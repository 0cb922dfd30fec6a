package dev.runhv.vmm.rootfs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.FileContent;
import dev.runhv.api.RunhvException;
import dev.runhv.api.TreeEntry;
import dev.runhv.vmm.testing.ImageBuilder;
import java.io.IOException;
import java.io.InputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.UserDefinedFileAttributeView;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

class TreeImageTest {
    private static final Instant TIME = Instant.ofEpochSecond(1_700_000_000, 5);

    @TempDir
    Path folder;

    private Path image() {
        return folder.resolve("tree.erofs");
    }

    private static FileContent text(String text) {
        return FileContent.of(ImageBuilder.bytes(text));
    }

    private static byte[] noise(int size) {
        byte[] noise = new byte[size];
        new Random(3).nextBytes(noise);
        return noise;
    }

    private List<TreeEntry> ofEachKind() {
        return List.of(
                TreeEntry.directory("/").mode(0711).build(),
                TreeEntry.directory("etc").owner(1, 2).modified(TIME).build(),
                TreeEntry.file("etc/motd", text("hello\n"))
                        .mode(04755)
                        .owner(4_000_000_000L, 3)
                        .modified(TIME)
                        .xattr("security.capability", new byte[] {1, 2})
                        .build(),
                TreeEntry.hardLink("same", "/etc/motd").build(),
                TreeEntry.symbolicLink("link", "etc/motd").build(),
                TreeEntry.device(TreeEntry.Type.CHARACTER_DEVICE, "deep/in/null", 1, 300)
                        .build(),
                TreeEntry.device(TreeEntry.Type.BLOCK_DEVICE, "disk", 259, 3).build(),
                TreeEntry.fifo("pipe").build(),
                TreeEntry.file("zwölf", text("")).build());
    }

    @Test
    void entriesOfEachKindAreAsTheyWereDescribed() throws Exception {
        TreeImage.write(image(), ofEachKind());

        Map<String, String> tree = Rootfs.describe(image());
        String motd = "- 6 5891b5b522d5df08 4755 4000000000:3 1700000000.000000005 n2 security.capability=0102";
        assertThat(tree)
                .containsEntry("/etc", "d 755 1:2 1700000000.000000005 n2")
                .containsEntry("/etc/motd", motd)
                .containsEntry("/same", motd)
                .containsEntry("/link", "l etc/motd 777 0:0 0.000000000 n1")
                .containsEntry("/deep/in/null", "c 1,300 600 0:0 0.000000000 n1")
                .containsEntry("/disk", "b 259,3 600 0:0 0.000000000 n1")
                .containsEntry("/pipe", "p 644 0:0 0.000000000 n1")
                .containsKeys("/deep/in", "/zw\u00c3\u00b6lf");
        assertThat(tree.get("/")).startsWith("d 711 ");
        assertThat(Rootfs.text(image(), "/link")).isEqualTo("hello\n");
        if (Fsck.isInstalled()) {
            Fsck.accepts(image());
        }
    }

    @Test
    void theSameEntriesGiveTheSameBytesAndReplaceWhatWasThere() throws Exception {
        TreeImage.write(image(), ofEachKind());
        byte[] first = Files.readAllBytes(image());
        Files.writeString(image(), "something else");
        TreeImage.write(image(), ofEachKind());
        assertThat(image()).hasBinaryContent(first);
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "folders of Windows have no modes and owners for an image")
    void aFolderOfTheHostIsAsTheHostShowsIt() throws Exception {
        Path root = Files.createDirectories(folder.resolve("root"));
        byte[] noise = noise(1 << 20);
        Files.createDirectories(root.resolve("usr/bin"));
        Files.write(root.resolve("usr/bin/tool"), noise);
        Files.setAttribute(root.resolve("usr/bin/tool"), "unix:mode", 04711);
        Files.createLink(root.resolve("usr/bin/alias"), root.resolve("usr/bin/tool"));
        Files.createSymbolicLink(root.resolve("nowhere"), Path.of("../../outside"));
        Files.setLastModifiedTime(root.resolve("usr"), FileTime.from(TIME));
        UserDefinedFileAttributeView view =
                Files.getFileAttributeView(root.resolve("usr"), UserDefinedFileAttributeView.class);
        boolean xattrs = Files.getFileStore(root).supportsFileAttributeView("user");
        if (xattrs) {
            view.write("said", ByteBuffer.wrap(new byte[] {7}));
        }

        TreeImage.write(image(), HostTree.entries(root));

        Map<String, String> tree = Rootfs.describe(image());
        assertThat(tree).containsOnlyKeys("/", "/nowhere", "/usr", "/usr/bin", "/usr/bin/alias", "/usr/bin/tool");
        Object owner = Files.getAttribute(root, "unix:uid", LinkOption.NOFOLLOW_LINKS) + ":"
                + Files.getAttribute(root, "unix:gid", LinkOption.NOFOLLOW_LINKS);
        assertThat(tree.get("/usr"))
                .contains(" " + owner + " 1700000000.000000005 ")
                .endsWith(xattrs ? " user.said=07" : " n3");
        assertThat(tree.get("/usr/bin/tool"))
                .startsWith("- 1048576 ")
                .contains(" 4711 ")
                .endsWith(" n2")
                .isEqualTo(tree.get("/usr/bin/alias"));
        assertThat(tree.get("/nowhere")).startsWith("l ../../outside ");
        try (InputStream content = ErofsReader.open(image()).openFile("/usr/bin/tool")) {
            assertThat(content.readAllBytes()).isEqualTo(noise);
        }
    }

    @Test
    void aFileThatIsOpenedIsReadToItsEnd() throws Exception {
        byte[] noise = noise(3 * 4096 + 5);
        TreeImage.write(
                image(),
                List.of(
                        TreeEntry.file("a", FileContent.of(noise)).build(),
                        TreeEntry.symbolicLink("b", "/a").build(),
                        TreeEntry.directory("c").build()));

        try (InputStream content = ErofsReader.open(image()).openFile("/b")) {
            assertThat(content.readNBytes(4097)).isEqualTo(java.util.Arrays.copyOf(noise, 4097));
            assertThat(content.readAllBytes()).isEqualTo(java.util.Arrays.copyOfRange(noise, 4097, noise.length));
            assertThat(content.read()).isNegative();
        }
        try (ErofsReader reader = ErofsReader.open(image())) {
            assertFails(ErrorCode.NOT_FOUND, "no such file", () -> reader.openFile("/none"));
            assertFails(ErrorCode.INVALID_ARGUMENT, "not a regular file", () -> reader.openFile("/c"));
        }
    }

    private static void assertFails(ErrorCode code, String detail, ThrowingCallable call) {
        assertThatThrownBy(call)
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(code))
                .hasMessageContaining(detail);
    }

    private void assertRefused(ErrorCode code, String detail, TreeEntry.Builder entry) throws IOException {
        List<TreeEntry> entries = List.of(entry.build());
        assertFails(code, detail, () -> TreeImage.write(image(), entries));
        try (Stream<Path> left = Files.list(folder)) {
            assertThat(left).isEmpty();
        }
    }

    @Test
    void whatCannotBeIsRefusedByItsPathAndLeavesNothing() throws Exception {
        assertRefused(ErrorCode.INVALID_ARGUMENT, "entry a", TreeEntry.hardLink("a", "none"));
        assertRefused(ErrorCode.INVALID_ARGUMENT, "entry /", TreeEntry.file("/", text("x")));
        assertRefused(ErrorCode.UNSUPPORTED, "entry d/.wh.a", TreeEntry.file("d/.wh.a", text("")));
        assertRefused(ErrorCode.NOT_FOUND, "entry a", TreeEntry.file("a", FileContent.of(folder.resolve("none"))));
        assertRefused(ErrorCode.INVALID_ARGUMENT, "shorter", TreeEntry.file("a", new FileContent() {
            @Override
            public long bytes() {
                return 2;
            }

            @Override
            public InputStream open() {
                return new java.io.ByteArrayInputStream(new byte[1]);
            }
        }));
        assertFails(
                ErrorCode.INVALID_ARGUMENT, "07777", () -> TreeEntry.fifo("a").mode(0100644));
        assertFails(
                ErrorCode.INVALID_ARGUMENT, "owner", () -> TreeEntry.fifo("a").owner(-1, 0));
        assertFails(
                ErrorCode.INVALID_ARGUMENT,
                "no type of device",
                () -> TreeEntry.device(TreeEntry.Type.FILE, "a", 0, 0));
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "folders of Windows have no modes and owners for an image")
    void aSocketAndAFolderThatIsNotThereAreRefused() throws Exception {
        assertFails(ErrorCode.NOT_FOUND, "no such folder", () -> HostTree.entries(folder.resolve("none")));
        Path socket = folder.resolve("socket");
        assumeTrue(socket.toString().length() < 100, "the temporary folder's path is too long for a socket");
        try (ServerSocketChannel listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            listener.bind(UnixDomainSocketAddress.of(socket));
            assertFails(ErrorCode.UNSUPPORTED, "/socket is a socket", () -> HostTree.entries(folder));
        }
    }
}
