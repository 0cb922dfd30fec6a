package dev.runhv.vmm.rootfs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.ImageException;
import dev.runhv.vmm.image.ImageReference;
import dev.runhv.vmm.image.ImageSource;
import dev.runhv.vmm.testing.ImageBuilder;
import dev.runhv.vmm.testing.TarBuilder;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RootfsStoreTest {
    @TempDir
    private Path folder;

    private Path layout;
    private Path rootfs;

    @BeforeEach
    void writeImage() {
        rootfs = folder.resolve("store/rootfs");
        layout = new ImageBuilder()
                .gzipLayer(new TarBuilder().file("etc/passwd", "root:x:0:0").bytes())
                .layer(new TarBuilder().file("data", "d".repeat(300_000)).bytes())
                .writeTo(folder.resolve("oci"), "t");
    }

    @Test
    void makesAnImageOnceAndTellsHowItGoes() {
        List<String> first = new ArrayList<>();
        List<String> second = new ArrayList<>();

        PreparedRootfs made =
                prepare((layer, layers, bytes, total) -> first.add(layer + "/" + layers + " " + (bytes == total)));
        PreparedRootfs found = prepare((layer, layers, bytes, total) -> second.add("read again"));

        assertThat(first).first().isEqualTo("1/2 false");
        assertThat(first).last().isEqualTo("2/2 true");
        assertThat(second).isEmpty();
        assertThat(found).isEqualTo(made);
        assertThat(made.image()).hasParent(rootfs);
        assertThat(made.image().getFileName().toString()).matches("[0-9a-f]{64}\\.erofs");
        assertThat(rootfs.toFile().list()).hasSize(1);
        try (ErofsReader reader = made.open()) {
            assertThat(reader.readFile("/etc/passwd", 100)).isEqualTo(TarBuilder.latin1("root:x:0:0"));
            assertThat(reader.readFile("/etc/none", 100)).isNull();
            assertThatThrownBy(() -> reader.readFile("/etc/passwd", 5)).hasMessageContaining("more than 5 bytes");
            assertThatThrownBy(() -> reader.readFile("/etc", 5)).hasMessageContaining("not a regular file");
        }
    }

    @Test
    void severalImportsAtOnceEndInOneWholeImage() throws Exception {
        List<Callable<Path>> imports = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            imports.add(() -> prepare(RootfsProgress.NONE).image());
        }

        try (ExecutorService threads = Executors.newFixedThreadPool(4)) {
            for (Future<Path> image : threads.invokeAll(imports)) {
                assertThat(Rootfs.names(image.get())).contains("/data");
            }
        }

        assertThat(rootfs.toFile().list()).hasSize(1);
    }

    @Test
    void makesADamagedOrCutImageAgain() throws IOException {
        Path image = prepare(RootfsProgress.NONE).image();
        byte[] whole = Files.readAllBytes(image);

        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.setLength(whole.length - 4096);
        }
        assertThat(prepare(RootfsProgress.NONE).image()).hasBinaryContent(whole);

        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.seek(1024 + 60);
            file.write(1);
        }
        assertThat(prepare(RootfsProgress.NONE).image()).hasBinaryContent(whole);
    }

    @Test
    void damageThatComesToLightSaysWhatToDo() throws IOException {
        Path image = prepare(RootfsProgress.NONE).image();
        byte[] content = Files.readAllBytes(image);
        Arrays.fill(content, Erofs.BLOCK, content.length, (byte) 0xff);
        Files.write(image, content);

        try (ErofsReader reader = ErofsReader.open(image)) {
            assertThatThrownBy(() -> reader.readFile("/etc/passwd", 100))
                    .hasMessageContaining("delete " + image + ", and it is made again");
        }
    }

    @Test
    void linksWithoutAnEndLeadToNoFile() {
        TarBuilder tar = new TarBuilder().symlink("etc/passwd", "/etc/group").symlink("etc/group", "passwd");

        assertThat(Rootfs.text(Rootfs.of(folder.resolve("loop"), tar.bytes()), "/etc/passwd"))
                .isNull();
    }

    @Test
    void sweepsWhatADeadProcessLeft() throws IOException {
        Files.createDirectories(rootfs);
        Path left = Files.writeString(rootfs.resolve(".abc.999999999-1.tmp"), "half an image");
        Path sameNumber = Files.writeString(
                rootfs.resolve(".abc." + ProcessHandle.current().pid() + "-1.tmp"), "half an image");
        Path foreign = Files.writeString(rootfs.resolve("kept"), "not ours");

        prepare(RootfsProgress.NONE);

        assertThat(left).doesNotExist();
        assertThat(sameNumber).doesNotExist();
        assertThat(foreign).exists();
    }

    @Test
    void aFailedImportLeavesNothing() throws IOException {
        Path blob;
        try (ImageSource source = ImageSource.open(new ImageReference.OciLayout(layout, ""))) {
            blob = layout.resolve("blobs/sha256")
                    .resolve(source.layers().get(1).name().replace("layer sha256:", ""));
        }
        byte[] changed = Files.readAllBytes(blob);
        changed[1000] ^= 1;
        Files.write(blob, changed);

        assertThatThrownBy(() -> prepare(RootfsProgress.NONE))
                .isInstanceOfSatisfying(
                        ImageException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CORRUPT_INPUT))
                .hasMessageContainingAll(
                        "layer 2 of 2",
                        "does not match its digest",
                        blob.getFileName().toString());
        assertThat(rootfs.toFile().list()).isEmpty();
    }

    @Test
    void namesAStoreThatCannotBeUsed() throws IOException {
        Files.writeString(folder.resolve("store"), "a file");

        assertThatThrownBy(() -> prepare(RootfsProgress.NONE))
                .isInstanceOf(ImageException.class)
                .hasMessageContainingAll("Cannot use the image store", rootfs.toString());
    }

    private PreparedRootfs prepare(RootfsProgress progress) {
        try (ImageSource source = ImageSource.open(new ImageReference.OciLayout(layout, ""))) {
            return new RootfsStore(folder.resolve("store")).prepare(source, progress);
        }
    }
}
