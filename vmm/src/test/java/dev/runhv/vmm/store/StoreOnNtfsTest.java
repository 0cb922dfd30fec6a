package dev.runhv.vmm.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.image.Descriptor;
import dev.runhv.vmm.image.ImageSave;
import dev.runhv.vmm.image.NamedImages;
import dev.runhv.vmm.image.Platform;
import dev.runhv.vmm.image.PullProgress;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.testing.ImageBuilder;
import dev.runhv.vmm.testing.LoopbackRegistry;
import dev.runhv.vmm.testing.NtfsRules;
import dev.runhv.vmm.testing.TarBuilder;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** The store where names and open files are NTFS's. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "it is for hosts with other rules than Windows'")
class StoreOnNtfsTest {
    private static final byte[] LAYER =
            new TarBuilder().file("f", "content").file("F", "another").bytes();

    /** More than one operation tries again, and fewer than two do. */
    private static final int HELD_REFUSALS = 25;

    @TempDir
    private Path folder;

    private LoopbackRegistry registry;
    private NtfsRules ntfs;
    private Path path;
    private ImageStore store;

    @BeforeEach
    void open() throws IOException {
        registry = new LoopbackRegistry();
        ntfs = new NtfsRules(folder);
        path = ntfs.path("/Users/someone/AppData/Local/runhv/data");
        store = new ImageStore(path);
    }

    @AfterEach
    void close() {
        registry.close();
    }

    @Test
    void itsRulesAreThoseOfNtfs() throws IOException {
        Path directory = Files.createDirectory(ntfs.path("/d"));
        for (String name : List.of("con", "NUL.txt", "Lpt1", "what?", "a|b", "ends.", "ends ", "x".repeat(256))) {
            assertThatExceptionOfType(FileSystemException.class)
                    .isThrownBy(() -> Files.writeString(directory.resolve(name), ""))
                    .withMessageContaining("syntax is incorrect");
        }
        Path file = Files.writeString(directory.resolve("File"), "1");
        assertThat(Files.readString(ntfs.path("/D/fILE"))).isEqualTo("1");
        Path other = Files.writeString(directory.resolve("other"), "2");
        try (FileChannel _ = FileChannel.open(file)) {
            assertThatExceptionOfType(AccessDeniedException.class)
                    .isThrownBy(() -> Files.move(other, file, StandardCopyOption.REPLACE_EXISTING));
            Files.delete(file);
            assertThatExceptionOfType(AccessDeniedException.class).isThrownBy(() -> Files.writeString(file, "3"));
        }
        assertThat(Files.writeString(file, "3")).exists();
        assertThat(ntfs.refusals()).isEqualTo(2);
    }

    @Test
    void imagesComeAreReadAndGoAndTheStoreIsNeverInItsOwnWay() throws Exception {
        // Names that NTFS reserves, and two that it takes for one.
        Reference small = pull("con/nul:aux", new ImageBuilder().gzipLayer(LAYER));
        Reference large = pull("con/nul:AUX", new ImageBuilder().layer(LAYER).config("{\"Cmd\":[\"/other\"]}"));
        pull("con/nul:aux", new ImageBuilder().zstdLayer(LAYER));
        store.tag(large.toString(), Reference.parse("lpt1:com1"));
        assertThat(names())
                .containsExactlyInAnyOrder(small.toString(), large.toString(), "docker.io/library/lpt1:com1");
        try (InputStream upper = store.openFile(small.toString(), "/F");
                InputStream lower = store.openFile(small.toString(), "/f")) {
            assertThat(upper).hasContent("another");
            assertThat(lower).hasContent("content");
        }
        assertThat(new StoreCheck(path).verify(false).damages()).isEmpty();

        Path archive = folder.resolve("saved.tar");
        LocalImageService service = new LocalImageService(path);
        service.save(List.of(small, large), Optional.empty(), archive);
        store.remove(names(), true);
        store.prune(true);
        assertThat(files()).isEmpty();
        service.load(archive, Optional.empty(), PullProgress.NONE);
        assertThat(names()).containsExactlyInAnyOrder(small.toString(), large.toString());
        store.prune(true);

        assertThat(files()).isEmpty();
        assertThat(ntfs.refusals()).isZero();
    }

    @Test
    void aNameThatSomebodyReadsIsReplacedAndRemovedOnceHeLetsGo() throws Exception {
        Reference name = Reference.parse("one");
        NamedImages names = new NamedImages(path);
        names.put(name, target("a"));
        try (FileChannel reader = FileChannel.open(nameFile())) {
            ntfs.onRefusal(() -> letGo(reader));
            names.put(name, target("b"));
        }
        assertThat(ntfs.refusals()).isOne();
        assertThat(names.find(name)).contains(names.list().images().getFirst().target());
        assertThat(names.find(name).orElseThrow().digest())
                .isEqualTo(target("b").digest());

        try (FileChannel reader = FileChannel.open(nameFile())) {
            assertThat(names.remove(name)).isTrue();
            ntfs.onRefusal(() -> letGo(reader));
            names.put(name, target("c"));
        }
        assertThat(ntfs.refusals()).isEqualTo(2);
        assertThat(names.find(name).orElseThrow().digest())
                .isEqualTo(target("c").digest());
    }

    @Test
    void whoDoesNotLetGoIsAnErrorAndLeavesWhatWasThere() throws Exception {
        Reference name = Reference.parse("one");
        NamedImages names = new NamedImages(path);
        names.put(name, target("a"));
        try (FileChannel _ = FileChannel.open(nameFile())) {
            assertThatExceptionOfType(AccessDeniedException.class)
                    .isThrownBy(() -> names.put(name, target("b")))
                    .withMessageContaining(nameFile().getFileName().toString());
        }
        assertThat(ntfs.refusals()).isBetween(2, 100);
        assertThat(names.find(name).orElseThrow().digest())
                .isEqualTo(target("a").digest());
        assertThat(files()).hasSize(1);
    }

    @Test
    void whatWasToBeSavedGoesWhenWhoHasItLetsGoTooLate() throws Exception {
        Reference name = pull("app:1", new ImageBuilder().gzipLayer(LAYER));
        Path archive = Files.writeString(path.resolveSibling("saved.tar"), "as it was");
        ntfs.hold(".tmp");
        ntfs.onRefusal(() -> {
            if (ntfs.refusals() == HELD_REFUSALS) {
                ntfs.hold(null);
            }
        });

        assertThatExceptionOfType(RunhvException.class)
                .isThrownBy(() -> ImageSave.save(List.of(name), Optional.empty(), path, archive))
                .withRootCauseInstanceOf(AccessDeniedException.class);

        assertThat(ntfs.refusals()).isEqualTo(HELD_REFUSALS);
        assertThat(archive).hasContent("as it was");
        assertThat(besides(archive)).isEmpty();
    }

    @Test
    void whoNeverLetsGoOfWhatWasToBeSavedIsToldAsWhatFailedFirst() throws Exception {
        Reference name = pull("app:1", new ImageBuilder().gzipLayer(LAYER));
        Path archive = Files.writeString(path.resolveSibling("saved.tar"), "as it was");
        ntfs.hold(".tmp");

        assertThatExceptionOfType(RunhvException.class)
                .isThrownBy(() -> ImageSave.save(List.of(name), Optional.empty(), path, archive))
                .withRootCauseInstanceOf(AccessDeniedException.class);

        assertThat(archive).hasContent("as it was");
    }

    @Test
    void aBlobThatGoesWhileItIsReadComesAgain() throws Exception {
        ImageBuilder image = new ImageBuilder().gzipLayer(LAYER);
        Reference name = pull("app:1", image);
        Digest blob = Digest.sha256(ImageBuilder.gzip(LAYER));
        try (InputStream reader = store.openBlob(blob)) {
            store.remove(List.of(name.toString()), false);
            ntfs.onRefusal(() -> letGo(reader));
            pull("app:1", image);
        }
        assertThat(ntfs.refusals()).isOne();
        assertThat(new StoreCheck(path).verify(false).damages()).isEmpty();
        assertThat(store.find(name.toString())).hasSize(1);
    }

    @Test
    void whatADeadProcessWasWritingGoes() throws Exception {
        NamedImages names = new NamedImages(path);
        names.put(Reference.parse("one"), target("a"));
        Files.writeString(nameFile().resolveSibling(".left.1-2-3.tmp"), "half");

        names.put(Reference.parse("two"), target("a"));

        assertThat(files()).hasSize(2);
        assertThat(ntfs.refusals()).isZero();
    }

    private Reference pull(String name, ImageBuilder image) throws InterruptedException {
        registry.serve(name.substring(name.indexOf(':') + 1), image);
        Reference reference = Reference.parse(registry.authority() + "/" + name);
        new LocalImageService(path).pull(reference, Platform.HERE, PullProgress.NONE, RootfsProgress.NONE);
        return reference;
    }

    private static void letGo(AutoCloseable held) {
        try {
            held.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    private static Descriptor target(String content) {
        Digest digest = Digest.sha256(ImageBuilder.bytes(content));
        return new Descriptor(ImageBuilder.MANIFEST, digest, content.length(), new Platform("", "", ""), Map.of());
    }

    private List<String> names() {
        return store.list().images().stream()
                .map(image -> image.name().toString())
                .toList();
    }

    /** Files that are in its folder, too. */
    private static List<Path> besides(Path file) throws IOException {
        try (Stream<Path> files = Files.list(file.getParent())) {
            return files.filter(Files::isRegularFile)
                    .filter(other -> !other.equals(file))
                    .toList();
        }
    }

    private Path nameFile() throws IOException {
        try (Stream<Path> files = Files.list(path.resolve("registry/names"))) {
            return files.filter(file -> file.toString().endsWith(".json"))
                    .findFirst()
                    .orElseThrow();
        }
    }

    /** But for locks. */
    private List<Path> files() throws IOException {
        try (Stream<Path> files = Files.walk(path)) {
            return files.filter(Files::isRegularFile)
                    .filter(file -> !file.getParent().endsWith("locks"))
                    .toList();
        }
    }
}
