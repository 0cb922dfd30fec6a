package dev.runhv.vmm.rootfs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CallerEnvironment;
import dev.runhv.vmm.image.ImageReference;
import dev.runhv.vmm.image.ImageSource;
import dev.runhv.vmm.image.Layer;
import dev.runhv.vmm.testing.ImageBuilder;
import dev.runhv.vmm.testing.TarBuilder;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
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
    void makesAnImageOnceAndTellsHowItGoes() throws Exception {
        List<String> first = new ArrayList<>();
        List<String> second = new ArrayList<>();

        PreparedRootfs made =
                prepare((layer, layers, bytes, total) -> first.add(layer + "/" + layers + " " + (bytes == total)));
        PreparedRootfs found = prepare((layer, layers, bytes, total) -> second.add("read again"));

        assertThat(first).allMatch(told -> told.matches("[12]/2 .*"));
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
    void ofSeveralThatWantAnImageOneMakesIt() throws Exception {
        Set<Integer> makers = ConcurrentHashMap.newKeySet();
        List<Callable<PreparedRootfs>> imports = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            int number = i;
            imports.add(() -> prepare((layer, layers, bytes, total) -> makers.add(number)));
        }

        try (ExecutorService threads = Executors.newFixedThreadPool(8)) {
            for (Future<PreparedRootfs> image : threads.invokeAll(imports)) {
                assertThat(Rootfs.names(image.get())).contains("/data");
            }
        }

        assertThat(makers).hasSize(1);
        assertThat(rootfs.toFile().list()).hasSize(1);
    }

    @Test
    @Timeout(60)
    void noMoreThanItsHeapIsForAreMadeAtOnce() throws Exception {
        Set<Integer> begun = ConcurrentHashMap.newKeySet();
        CountDownLatch go = new CountDownLatch(1);
        List<Future<PreparedRootfs>> images = new ArrayList<>();
        try (ExecutorService threads = Executors.newFixedThreadPool(RootfsStore.AT_ONCE + 2)) {
            for (int i = 0; i < RootfsStore.AT_ONCE + 2; i++) {
                int number = i;
                Path image = new ImageBuilder()
                        .layer(new TarBuilder().file("own", "image " + i).bytes())
                        .writeTo(folder.resolve("oci" + i), "t");
                images.add(threads.submit(() -> new RootfsStore(folder.resolve("store"))
                        .prepare(new ImageReference.OciLayout(image, ""), (layer, layers, bytes, total) -> {
                            begun.add(number);
                            awaitQuietly(go);
                        })));
            }
            while (RootfsStore.MAKING.getQueueLength() < 2 || begun.size() < RootfsStore.AT_ONCE) {
                Thread.onSpinWait();
            }
            assertThat(begun).hasSize(RootfsStore.AT_ONCE);
            go.countDown();
            for (Future<PreparedRootfs> image : images) {
                assertThat(Rootfs.names(image.get())).containsExactly("/own");
            }
        }
    }

    private static void awaitQuietly(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void whereAnImportFailsTheNextOneMakesTheImage() throws Exception {
        assertThatThrownBy(() -> prepare((layer, layers, bytes, total) -> {
                    throw new IllegalStateException("the listener's own");
                }))
                .hasMessage("the listener's own");
        assertThat(rootfs.toFile().list()).isEmpty();

        assertThat(Rootfs.names(prepare(RootfsProgress.NONE))).contains("/data");
    }

    @Test
    void anInterruptedImportIsInterruptedAndLeavesNothing() throws Exception {
        Thread importing = Thread.currentThread();

        assertThatThrownBy(() -> prepare((layer, layers, bytes, total) -> importing.interrupt()))
                .isInstanceOf(InterruptedException.class);

        assertThat(Thread.interrupted()).isFalse();
        assertThat(rootfs.toFile().list()).isEmpty();
        assertThat(Rootfs.names(prepare(RootfsProgress.NONE))).contains("/data");
    }

    @Test
    void anInterruptDoesNotMakeAWholeImageADamagedOne() throws Exception {
        PreparedRootfs made = prepare(RootfsProgress.NONE);
        List<String> read = new ArrayList<>();

        Thread.currentThread().interrupt();
        PreparedRootfs found = prepare((layer, layers, bytes, total) -> read.add("read again"));

        assertThat(Thread.interrupted()).isTrue();
        assertThat(found).isEqualTo(made);
        assertThat(read).isEmpty();
    }

    @Test
    void tellsOfProgressSeldomAndNeverOnTheThreadThatDecompresses() throws Exception {
        layout = new ImageBuilder()
                .gzipLayer(new TarBuilder().file("zeros", new byte[40 << 20]).bytes())
                .gzipLayer(new TarBuilder().file("more", new byte[40 << 20]).bytes())
                .writeTo(folder.resolve("large"), "t");
        long allBytes;
        try (ImageSource source = ImageSource.open(new ImageReference.OciLayout(layout, ""), layout)) {
            allBytes = source.layers().stream().mapToLong(Layer::storedBytes).sum();
        }
        List<String> told = Collections.synchronizedList(new ArrayList<>());
        Set<String> threads = ConcurrentHashMap.newKeySet();
        long begun = System.nanoTime();

        prepare((layer, layers, bytes, total) -> {
            told.add(layer + " " + bytes);
            threads.add(Thread.currentThread().getName());
        });

        long tenths = Duration.ofNanos(System.nanoTime() - begun).toMillis() / 100;
        assertThat(told).endsWith("2 " + allBytes).hasSizeLessThanOrEqualTo((int) tenths + 3);
        assertThat(threads).doesNotContain("runhv-layer-reader");
    }

    @Test
    void makesTheVolumesThatNoLayerHas() throws Exception {
        byte[] layer = new TarBuilder()
                .mode(0700)
                .directory("data/")
                .file("data/kept", "kept")
                .file("file", "stays")
                .symlink("link", "srv/behind")
                .bytes();
        String config =
                "{\"Volumes\":{\"/data\":{},\"/srv/new\":{},\"link\":{},\"/file/below\":{},\"/file\":{},\"/\":{},\"/ä\":{}}}";

        Path plain = Rootfs.prepare(folder.resolve("1"), new ImageBuilder().layer(layer));
        Path image = Rootfs.prepare(
                folder.resolve("1"), new ImageBuilder().layer(layer).config(config));

        Map<String, String> files = Rootfs.describe(image);
        assertThat(image).isNotEqualTo(plain);
        assertThat(files.keySet())
                .containsExactly(
                        "/",
                        "/data",
                        "/data/kept",
                        "/file",
                        "/link",
                        "/srv",
                        "/srv/behind",
                        "/srv/new",
                        "/\u00c3\u00a4");
        assertThat(files.get("/srv/new")).startsWith("d 755 0:0 ");
        assertThat(files.get("/data")).startsWith("d 700 0:0 ");
        assertThat(files.get("/file")).startsWith("- 5 ");
        assertThat(Rootfs.text(image, "/data/kept")).isEqualTo("kept");
    }

    @Test
    void makesADamagedOrCutImageAgain() throws Exception {
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
    void damageThatComesToLightSaysWhatToDo() throws Exception {
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
    void sweepsWhatADeadProcessLeft() throws Exception {
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
    void aFailedImportLeavesNothing() throws Exception {
        Path blob;
        try (ImageSource source = ImageSource.open(new ImageReference.OciLayout(layout, ""), layout)) {
            blob = layout.resolve("blobs/sha256")
                    .resolve(source.layers().get(1).name().replace("layer sha256:", ""));
        }
        byte[] changed = Files.readAllBytes(blob);
        changed[1000] ^= 1;
        Files.write(blob, changed);

        assertThatThrownBy(() -> prepare(RootfsProgress.NONE))
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CORRUPT_INPUT))
                .hasMessageContainingAll(
                        "layer 2 of 2",
                        "does not match its digest",
                        blob.getFileName().toString());
        assertThat(rootfs.toFile().list()).isEmpty();
    }

    @Test
    void namesAStoreThatCannotBeUsed() throws Exception {
        Files.writeString(folder.resolve("store"), "a file");

        assertThatThrownBy(() -> prepare(RootfsProgress.NONE))
                .isInstanceOf(RunhvException.class)
                .hasMessageContainingAll("Cannot use the image store", rootfs.toString());
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "only Linux tells what was read")
    void aCompressedArchiveIsReadOnce() throws Exception {
        assumeThat(Path.of("/proc/self/io")).exists();
        byte[] content = new byte[8 << 20];
        new Random(1).nextBytes(content);
        Path oci = Files.write(
                folder.resolve("oci.tar.gz"),
                ImageBuilder.gzip(ImageBuilder.archive(new ImageBuilder()
                        .layer(new TarBuilder().file("a", content).bytes())
                        .layout("t"))));
        Path docker = Files.write(
                folder.resolve("docker.tar.gz"),
                ImageBuilder.gzip(new ImageBuilder()
                        .layer(new TarBuilder().file("b", content).bytes())
                        .dockerArchive("web:1")
                        .bytes()));
        for (String name : List.of("oci-archive:" + oci, "docker-archive:" + docker + ":web:1")) {
            ImageReference reference = ImageReference.parse(name);
            RootfsStore store =
                    new RootfsStore(folder.resolve("store"), () -> Instant.now().plusSeconds(60));

            long before = bytesRead();
            PreparedRootfs made = store.prepare(reference, RootfsProgress.NONE);
            long between = bytesRead();
            PreparedRootfs found = store.prepare(reference, RootfsProgress.NONE);

            assertThat(found).isEqualTo(made);
            assertThat(between - before).isGreaterThan(content.length);
            assertThat(bytesRead() - between).isLessThan(content.length / 2);
            Files.delete(made.image());
            assertThat(Rootfs.names(store.prepare(reference, RootfsProgress.NONE)))
                    .hasSize(1);
        }
    }

    @Test
    void aCompressedArchiveThatChangesIsReadAgain() throws Exception {
        Path file = folder.resolve("oci.tar.gz");
        ImageReference reference = new ImageReference.OciArchive(file, "");
        RootfsStore later =
                new RootfsStore(folder.resolve("store"), () -> Instant.now().plusSeconds(60));
        RootfsStore now = new RootfsStore(folder.resolve("store"));
        for (RootfsStore store : List.of(now, later, now)) {
            for (String name : List.of("one", "two")) {
                FileTime time = FileTime.from(Instant.EPOCH);
                Files.write(file, archive(name));
                Files.setLastModifiedTime(file, time);

                assertThat(Rootfs.names(store.prepare(reference, RootfsProgress.NONE)))
                        .containsExactly("/" + name);
            }
        }
    }

    @Test
    void anArchiveThatIsKnownIsAskedAboutAgain() throws Exception {
        Path file = Files.write(folder.resolve("oci.tar.gz"), archive("one"));
        ImageReference reference = new ImageReference.OciArchive(file, "");
        RootfsStore later =
                new RootfsStore(folder.resolve("store"), () -> Instant.now().plusSeconds(60));
        later.prepare(reference, RootfsProgress.NONE);
        Path policy = Files.writeString(folder.resolve("policy.json"), "{\"default\":[{\"type\":\"reject\"}]}");
        Map<String, String> environment = Map.of("RUNHV_SIGNATURE_POLICY", policy.toString());

        assertThatThrownBy(() ->
                        CallerEnvironment.within(environment, () -> later.prepare(reference, RootfsProgress.NONE)))
                .isInstanceOf(RunhvException.class)
                .hasMessageContaining("rejects it");
    }

    @Test
    void aDamagedRecordOfAnArchiveIsNotBelieved() throws Exception {
        Path file = Files.write(folder.resolve("oci.tar.gz"), archive("one"));
        ImageReference reference = new ImageReference.OciArchive(file, "");
        RootfsStore store =
                new RootfsStore(folder.resolve("store"), () -> Instant.now().plusSeconds(60));
        PreparedRootfs made = store.prepare(reference, RootfsProgress.NONE);
        Path record;
        try (Stream<Path> records = Files.list(folder.resolve("store/archives"))) {
            record = records.findFirst().orElseThrow();
        }
        byte[] whole = Files.readAllBytes(record);
        for (int length : new int[] {0, 1, whole.length / 2, whole.length - 1}) {
            Files.write(record, Arrays.copyOf(whole, length));
            assertThat(store.prepare(reference, RootfsProgress.NONE)).isEqualTo(made);
            assertThat(record).hasBinaryContent(whole);
        }
    }

    @Test
    void whatImagesHaveInCommonIsStoredOnce() throws Exception {
        byte[] base = new byte[4 << 20];
        new Random(1).nextBytes(base);
        byte[] baseLayer =
                new TarBuilder().file("base", base).file("shared", "below").bytes();
        long first = 0;
        List<PreparedRootfs> images = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            layout = new ImageBuilder()
                    .gzipLayer(baseLayer)
                    .layer(new TarBuilder()
                            .file("own", "image " + i)
                            .file("shared", "own " + i)
                            .bytes())
                    .writeTo(folder.resolve("oci" + i), "t");
            images.add(prepare(RootfsProgress.NONE));
            first = i == 0 ? storedBytes() : first;
        }

        assertThat(images.stream().map(image -> image.layers().getFirst()))
                .containsOnly(images.get(0).layers().get(0));
        for (int i = 0; i < 10; i++) {
            assertThat(text(images.get(i), "/own")).isEqualTo("image " + i);
            assertThat(text(images.get(i), "/shared")).isEqualTo("own " + i);
            try (ErofsReader reader = images.get(i).open()) {
                assertThat(reader.readFile("/base", base.length)).isEqualTo(base);
            }
        }
        long own = 3L * Erofs.BLOCK + 4 * Erofs.BLOCK; // a layer with two files and its entries, and a tree
        assertThat(first).isBetween((long) base.length, base.length + 2 * own);
        assertThat(storedBytes()).isLessThanOrEqualTo((base.length + 10 * own) * 105 / 100);
    }

    @Test
    void aLayerThatIsThereIsNotReadAgain() throws Exception {
        byte[] base = new TarBuilder().file("base", "b".repeat(1 << 20)).bytes();
        layout = new ImageBuilder().layer(base).writeTo(folder.resolve("first"), "t");
        prepare(RootfsProgress.NONE);
        layout = new ImageBuilder()
                .layer(base)
                .layer(new TarBuilder().file("own", "o").bytes())
                .writeTo(folder.resolve("second"), "t");
        try (ImageSource source = ImageSource.open(new ImageReference.OciLayout(layout, ""), layout)) {
            Layer layer = source.layers().getFirst();
            Path blob = layout.resolve("blobs/sha256").resolve(layer.name().replace("layer sha256:", ""));
            // Nobody reads this to its end without complaint.
            Files.write(blob, new byte[(int) layer.storedBytes()]);
        }

        assertThat(Rootfs.names(prepare(RootfsProgress.NONE))).containsExactly("/base", "/own");
    }

    @Test
    void ofSeveralThatWantALayerOneReadsIt() throws Exception {
        Set<Integer> readers = ConcurrentHashMap.newKeySet();
        StoredLayers layers = new StoredLayers(folder.resolve("store"));
        try (ImageSource source = ImageSource.open(new ImageReference.OciLayout(layout, ""), layout);
                ExecutorService threads = Executors.newFixedThreadPool(8)) {
            List<Callable<Integer>> all = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                int number = i;
                all.add(() -> layers.require(source.layers().getLast(), bytes -> readers.add(number)));
            }
            for (Future<Integer> blocks : threads.invokeAll(all)) {
                assertThat(blocks.get()).isEqualTo(300_000 / Erofs.BLOCK + 1);
            }
        }

        assertThat(readers).hasSize(1);
    }

    @Test
    void aLayerWithoutContentAndOneThatComesTwiceAreNoPartTwice() throws Exception {
        byte[] folders = new TarBuilder().directory("empty/").bytes();
        byte[] file = new TarBuilder().file("file", "content").bytes();
        layout = new ImageBuilder()
                .layer(file)
                .layer(folders)
                .layer(new TarBuilder()
                        .file(".wh.file", "")
                        .file("other", "other")
                        .bytes())
                .layer(file)
                .layer(folders)
                .writeTo(folder.resolve("twice"), "t");

        PreparedRootfs image = prepare(RootfsProgress.NONE);

        assertThat(image.layers()).hasSize(2);
        assertThat(Rootfs.names(image)).containsExactly("/empty", "/file", "/other");
        assertThat(text(image, "/file")).isEqualTo("content");
        assertThat(text(image, "/other")).isEqualTo("other");
    }

    @Test
    void aHundredLayersShowTheNewestOfEach() throws Exception {
        ImageBuilder builder = new ImageBuilder();
        for (int i = 0; i < 100; i++) {
            TarBuilder tar = new TarBuilder().file("of/" + i, "layer " + i).file("newest", "layer " + i);
            if (i % 10 == 9) {
                tar.file("of/.wh." + (i - 1), "").hardlink("link" + i, "of/" + i);
            }
            builder.gzipLayer(tar.bytes());
        }
        layout = builder.writeTo(folder.resolve("hundred"), "t");

        PreparedRootfs image = prepare(RootfsProgress.NONE);

        assertThat(image.layers()).hasSize(100);
        assertThat(text(image, "/newest")).isEqualTo("layer 99");
        assertThat(text(image, "/of/0")).isEqualTo("layer 0");
        assertThat(text(image, "/of/8")).isNull();
        assertThat(text(image, "/link49")).isEqualTo("layer 49");
        Path joined = Rootfs.joined(image);
        Fsck.requireInstalled();
        Fsck.accepts(joined);
    }

    @Test
    void aDamagedOrMissingPartOfALayerIsMadeAgain() throws Exception {
        PreparedRootfs made = prepare(RootfsProgress.NONE);
        byte[] tree = Files.readAllBytes(made.image());
        List<Path> parts = new ArrayList<>();
        try (Stream<Path> files = Files.list(folder.resolve("store/layers"))) {
            files.forEach(parts::add);
        }
        assertThat(parts).hasSize(4);
        for (Path part : parts) {
            byte[] whole = Files.readAllBytes(part);
            boolean entries = part.toString().endsWith(".entries");
            List<byte[]> damaged = new ArrayList<>(List.of(Arrays.copyOf(whole, whole.length / 2), new byte[0]));
            if (entries) {
                byte[] changed = whole.clone();
                changed[whole.length / 2] ^= 1;
                damaged.add(changed);
                damaged.add(Arrays.copyOf(whole, whole.length + 1));
            }
            for (byte[] content : damaged) {
                Files.write(part, content);
                if (entries) {
                    // It is read where a tree is made.
                    Files.delete(made.image());
                }
                assertThat(prepare(RootfsProgress.NONE)).isEqualTo(made);
                assertThat(part).hasBinaryContent(whole);
                assertThat(made.image()).hasBinaryContent(tree);
            }
            Files.delete(part);
            Files.delete(made.image());
            assertThat(prepare(RootfsProgress.NONE)).isEqualTo(made);
            assertThat(part).hasBinaryContent(whole);
        }
    }

    @Test
    void whatAnOlderVersionLeftIsDroppedWithOneSentence() throws Exception {
        Files.createDirectories(rootfs);
        Path old = Files.writeString(rootfs.resolve("0".repeat(64) + ".erofs"), "an image of all layers");
        List<String> warnings = new ArrayList<>();
        RootfsProgress progress = new RootfsProgress() {
            @Override
            public void read(int layer, int layers, long bytes, long totalBytes) {}

            @Override
            public void warn(String text) {
                warnings.add(text);
            }
        };

        PreparedRootfs made = prepare(progress);
        Files.delete(made.image());
        prepare(progress);

        assertThat(old).doesNotExist();
        assertThat(warnings)
                .containsExactly(
                        "the store had 1 root file systems of an older runhv; each is made again when it is wanted");
    }

    private static String text(PreparedRootfs image, String file) {
        return Rootfs.text(Rootfs.joined(image), file);
    }

    private long storedBytes() throws IOException {
        long bytes = 0;
        for (Path stored : List.of(rootfs, folder.resolve("store/layers"))) {
            try (Stream<Path> files = Files.list(stored)) {
                bytes += files.mapToLong(file -> file.toFile().length()).sum();
            }
        }
        return bytes;
    }

    private static byte[] archive(String name) {
        return ImageBuilder.gzip(ImageBuilder.archive(new ImageBuilder()
                .layer(new TarBuilder().file(name, "").bytes())
                .layout("t")));
    }

    private static long bytesRead() throws IOException {
        return Files.readAllLines(Path.of("/proc/self/io")).stream()
                .filter(line -> line.startsWith("rchar: "))
                .mapToLong(line -> Long.parseLong(line.substring(7)))
                .sum();
    }

    private PreparedRootfs prepare(RootfsProgress progress) throws InterruptedException {
        try (ImageSource source = ImageSource.open(new ImageReference.OciLayout(layout, ""), layout)) {
            return new RootfsStore(folder.resolve("store")).prepare(source, progress);
        }
    }
}
