package dev.runhv.vmm.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.StoreLease;
import dev.runhv.vmm.image.Descriptor;
import dev.runhv.vmm.image.ImageReference;
import dev.runhv.vmm.image.NamedImages;
import dev.runhv.vmm.image.Platform;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.rootfs.PreparedRootfs;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.rootfs.RootfsStore;
import dev.runhv.vmm.testing.ImageBuilder;
import dev.runhv.vmm.testing.TarBuilder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ImageStoreTest {
    @TempDir
    private Path folder;

    private Path path;
    private ImageStore store;

    @BeforeEach
    void open() {
        path = folder.resolve("store");
        store = new ImageStore(path);
    }

    @Test
    void imagesAreListedByTheirNamesAndFoundByNameAndId() throws IOException {
        put("busybox", image("a"));
        put("example.org/app:2", image("b"));

        assertThat(names(store.list().images()))
                .containsExactly("docker.io/library/busybox:latest", "example.org/app:2");
        Image app = store.find("example.org/app:2").getFirst();
        assertThat(store.find(app.id().toString())).hasSize(1);
        assertThat(store.find(app.id().hex().substring(0, 12)).getFirst().name())
                .isEqualTo(app.name());
        assertThat(store.find(app.target().digest().toString()).getFirst().name())
                .isEqualTo(app.name());
        assertThat(store.find("example.org/app@" + app.target().digest())
                        .getFirst()
                        .name())
                .isEqualTo(app.name());
    }

    @Test
    void whatIsNotThereAndWhatMeansSeveralIsRefused() throws IOException {
        for (int i = 0; i < 20; i++) { // two of them begin alike
            put("app:" + i, image("content " + i));
        }
        assertThatFailure(() -> store.find("nothing"), ErrorCode.NOT_FOUND, "No such image");
        assertThatFailure(() -> store.find("ffffffffffffffffffff"), ErrorCode.NOT_FOUND, "No such image");
        String common = store.list().images().stream()
                .map(image -> image.id().hex().substring(0, 1))
                .filter(first -> store.list().images().stream()
                                .filter(image -> image.id().hex().startsWith(first))
                                .count()
                        > 1)
                .findFirst()
                .orElseThrow();
        assertThatFailure(() -> store.find(common), ErrorCode.INVALID_ARGUMENT, "several images begin so");
    }

    @Test
    void oneImageHasSeveralNamesAndTheLastOneTakesItAway() throws Exception {
        put("busybox", image("a"));
        store.tag("busybox", Reference.parse("mine:1"));
        Digest id = store.find("mine:1").getFirst().id();
        assertThat(store.find(id.toString())).hasSize(2);

        ImageStore.Removed first = store.remove(List.of("busybox"), false);
        assertThat(first.untagged()).extracting(Reference::familiar).containsExactly("busybox:latest");
        assertThat(first.deleted()).isEmpty();
        assertThat(store.find("mine:1").getFirst().content()).isPresent();

        ImageStore.Removed last = store.remove(List.of("mine:1"), false);
        assertThat(last.deleted()).contains(id);
        assertThat(last.bytes()).isPositive();
        assertThat(files()).isEmpty();
    }

    @Test
    void whatAnotherImageNeedsStays() throws Exception {
        put("one", image("base", "one"));
        put("two", image("base", "two"));
        prepare("one");
        prepare("two");
        long before = files().size();

        ImageStore.Removed removed = store.remove(List.of("one"), false);

        // Its name, manifest, configuration, one blob, one layer's two files and its tree.
        assertThat(before - files().size()).isEqualTo(7);
        assertThat(removed.deleted()).hasSize(2);
        assertThat(store.find("two").getFirst().content()).isPresent();
        assertThat(prepare("two").image()).exists();
    }

    @Test
    void anIdInSeveralRepositoriesIsRemovedByForceOnly() throws Exception {
        put("one", image("a"));
        store.tag("one", Reference.parse("two"));
        String id = store.find("one").getFirst().id().toString();

        assertThatFailure(() -> store.remove(List.of(id), false), ErrorCode.CONFLICT, "several repositories");
        assertThat(store.remove(List.of(id), true).untagged()).hasSize(2);
        assertThat(files()).isEmpty();
    }

    @Test
    void ofSeveralNamesAllOrNoneAreRemoved() throws IOException {
        put("one", image("a"));
        assertThatFailure(() -> store.remove(List.of("one", "nothing"), false), ErrorCode.NOT_FOUND, "No such image");
        assertThat(store.find("one")).hasSize(1);
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "the program that has it open is one of Linux")
    void whatAMicroVmHasOpenStays() throws Exception {
        put("one", image("a"));
        Path tree = prepare("one").image();
        try (Reader _ = new Reader(tree)) {
            assertThatFailure(() -> store.remove(List.of("one"), false), ErrorCode.CONFLICT, "A container runs");
            assertThat(store.prune(true).untagged()).isEmpty();
            store.remove(List.of("one"), true);
            store.prune(true);
            assertThat(tree).exists();
        }
        store.prune(false);
        assertThat(files()).isEmpty();
    }

    @Test
    void whileSomethingIsMadeNamesGoAndContentStaysUntilPrune() throws Exception {
        put("one", image("a"));
        try (StoreLease _ = StoreLease.take(path)) {
            ImageStore.Removed removed = store.remove(List.of("one"), false);
            assertThat(removed.untagged()).hasSize(1);
            assertThat(removed.left()).isTrue();
            assertThat(files()).isNotEmpty();
        }
        ImageStore.Pruned pruned = store.prune(false);
        assertThat(pruned.files()).isEqualTo(3);
        assertThat(pruned.bytes()).isPositive();
        assertThat(files()).isEmpty();
    }

    @Test
    void pruneTakesWhatHasNoNameAndLeavesWhatHasOne() throws Exception {
        put("one", image("a"));
        prepare("one");
        List<Path> named = files();
        Path layout = new ImageBuilder()
                .layer(new TarBuilder().file("f", "unnamed").bytes())
                .writeTo(folder.resolve("oci"), "t");
        new RootfsStore(path).prepare(ImageReference.parse("oci:" + layout), RootfsProgress.NONE);
        Path partial = Files.createDirectories(path.resolve("registry/partial"));
        Files.writeString(partial.resolve("sha256-" + "0".repeat(64)), "begun");

        ImageStore.Pruned pruned = store.prune(false);

        assertThat(pruned.files()).isEqualTo(4);
        assertThat(files()).containsExactlyInAnyOrderElementsOf(named);
        assertThat(store.prune(true).untagged()).extracting(Reference::familiar).containsExactly("one:latest");
        assertThat(files()).isEmpty();
    }

    @Test
    void aNameOfAnOlderRunhvIsTakenOverWhenItIsAskedForElsePruned() throws Exception {
        Descriptor target = image("a");
        for (String name : List.of("old", "older")) {
            Path file = path.resolve("registry/names/"
                    + Digest.sha256(ImageBuilder.bytes("docker.io/library/" + name + ":latest"))
                            .hex() + ".json");
            Files.createDirectories(file.getParent());
            Files.writeString(
                    file,
                    "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%d}]}"
                            .formatted(target.mediaType(), target.digest(), target.size()));
        }
        assertThat(store.list()).isEqualTo(new ImageStore.Listing(List.of(), 2));

        assertThat(new NamedImages(path).find(Reference.parse("old"))).isPresent();

        assertThat(names(store.list().images())).containsExactly("docker.io/library/old:latest");
        store.prune(false);
        assertThat(store.list().nameless()).isZero();
        assertThat(store.find("old").getFirst().content()).isPresent();
    }

    @Test
    void aDamagedImageIsListedAndRemoved() throws Exception {
        Descriptor target = image("a");
        put("one", target);
        Files.writeString(
                path.resolve("registry/blobs/sha256/" + target.digest().hex()), "x");
        Image image = store.list().images().getFirst();
        assertThat(image.content()).isEmpty();
        assertThat(store.find("one")).hasSize(1);
        store.remove(List.of("one"), false);
        store.prune(false);
        assertThat(files()).isEmpty();
    }

    @Test
    void aListingTellsWhatCameAndWentSinceTheLast() throws Exception {
        Descriptor target = image("a");
        put("one", target);
        // So long ago that the next change has another time.
        Files.setLastModifiedTime(path.resolve("registry/names"), FileTime.fromMillis(0));
        assertThat(names(store.list().images())).containsExactly("docker.io/library/one:latest");

        put("two", target);
        assertThat(store.list().images()).hasSize(2);
        store.remove(List.of("one"), false);
        assertThat(names(store.list().images())).containsExactly("docker.io/library/two:latest");

        Path manifest = path.resolve("registry/blobs/sha256/" + target.digest().hex());
        assertThat(store.list().images().getFirst().content()).isPresent();
        Files.delete(manifest);
        assertThat(store.list().images().getFirst().content()).isEmpty();
    }

    @Test
    void aNameIsWhatItsOwnFileSays() throws Exception {
        put("one", image("a"));
        Path names = path.resolve("registry/names");
        Path own;
        try (Stream<Path> files = Files.list(names)) {
            own = files.findFirst().orElseThrow();
        }
        Descriptor other = image("b");
        Path copy = names.resolve("0".repeat(64) + ".json");
        Files.writeString(
                copy,
                Files.readString(own)
                        .replaceAll("sha256:[0-9a-f]{64}", other.digest().toString()));

        ImageStore.Listing listing = store.list();
        assertThat(listing.images()).hasSize(1);
        assertThat(listing.images().getFirst().target().digest()).isNotEqualTo(other.digest());
        assertThat(listing.nameless()).isOne();
        store.prune(false);
        assertThat(copy).doesNotExist();
        assertThat(own).exists();
    }

    @Test
    void sizesAreThoseOfEachImage() throws Exception {
        put("one", image("base", "one"));
        put("two", image("base", "of another length"));
        store.tag("one", Reference.parse("again"));
        prepare("one");
        List<Image> images = store.list().images();

        assertThat(store.sizes(images))
                .containsExactlyElementsOf(images.stream().map(store::size).toList());
        assertThat(store.size(images.get(0))) // "again", with its tree
                .isEqualTo(store.size(images.get(1)))
                .isGreaterThan(store.size(images.get(2)));
    }

    @Test
    void aStoreThatIsWholeVerifies() throws Exception {
        put("one", image("base", "one"));
        put("two", image("base", "two"));
        prepare("one");
        prepare("two");

        StoreCheck.Result result = new StoreCheck(path).verify(false);

        // Two names, manifests, configurations and trees, three blobs and three layers.
        assertThat(result).isEqualTo(new StoreCheck.Result(14, List.of()));
    }

    @ParameterizedTest
    @ValueSource(strings = {".data", ".entries", ".erofs", "blobs/sha256/"})
    void whatIsDamagedIsToldAndRepaired(String what) throws Exception {
        put("one", image("content"));
        prepare("one");
        for (Path file : files()) {
            if (slashes(file.toString()).contains(what)) {
                byte[] bytes = Files.readAllBytes(file);
                bytes[bytes.length / 2] ^= 1;
                Files.write(file, bytes);
            }
        }

        List<StoreCheck.Damage> damages = new StoreCheck(path).verify(false).damages();

        String shown = what.equals(".data") || what.equals(".entries") ? "layers/" : what;
        assertThat(damages)
                .isNotEmpty()
                .allMatch(damage -> slashes(damage.what()).contains(shown));
        assertThat(damages).allMatch(damage -> damage.files().stream().allMatch(Files::exists));
        damages = new StoreCheck(path).verify(true).damages();
        assertThat(damages).noneMatch(damage -> damage.files().stream().anyMatch(Files::exists));
        if (!what.startsWith("blobs")) { // they come from a registry
            prepare("one");
            assertThat(new StoreCheck(path).verify(false).damages()).isEmpty();
        }
    }

    private static String slashes(String path) {
        return path.replace('\\', '/');
    }

    @Test
    void aBlobThatIsMissingIsToldByTheNameOfItsImage() throws Exception {
        Descriptor target = image("content");
        put("one", target);
        Files.delete(path.resolve("registry/blobs/sha256/" + target.digest().hex()));

        assertThat(new StoreCheck(path).verify(true).damages())
                .containsExactly(new StoreCheck.Damage(
                        "docker.io/library/one:latest: " + target.digest() + " is missing", List.of()));
    }

    @Test
    void whatTheStoreTakesIsToldByKinds() throws Exception {
        put("one", image("content"));
        prepare("one");
        Files.writeString(path.resolve("layers/sha256-" + "0".repeat(64) + ".data"), "left");

        Map<String, ImageStore.Usage> usage = store.usage();

        assertThat(usage.keySet()).containsExactly("Blobs", "Partial blobs", "Layers", "Root file systems");
        assertThat(usage.get("Blobs").files()).isEqualTo(3);
        assertThat(usage.get("Blobs").reclaimableBytes()).isZero();
        assertThat(usage.get("Layers").files()).isEqualTo(3);
        assertThat(usage.get("Layers").needed()).isEqualTo(2);
        assertThat(usage.get("Layers").reclaimableBytes()).isEqualTo(4);
        assertThat(usage.get("Root file systems").needed()).isEqualTo(1);
    }

    /** A process that reads the file as a micro-VM does. */
    private static final class Reader implements AutoCloseable {
        private static final String LOCK = "import fcntl,sys; f=open(sys.argv[1]); fcntl.lockf(f,fcntl.LOCK_SH);"
                + "print('held',flush=True); sys.stdin.read()";
        private final Process process;

        Reader(Path file) throws IOException {
            process = new ProcessBuilder("/usr/bin/python3", "-c", LOCK, file.toString()).start();
            assertThat(process.inputReader().readLine()).isEqualTo("held");
        }

        @Override
        public void close() throws IOException {
            process.destroyForcibly();
            process.onExit().join();
        }
    }

    private interface Work {
        void run() throws Exception;
    }

    private static void assertThatFailure(Work work, ErrorCode code, String why) {
        assertThatExceptionOfType(RunhvException.class)
                .isThrownBy(work::run)
                .withMessageContaining(why)
                .extracting(RunhvException::code)
                .isEqualTo(code);
    }

    private static List<String> names(List<Image> images) {
        return images.stream().map(image -> image.name().toString()).toList();
    }

    private void put(String name, Descriptor target) throws IOException {
        new NamedImages(path).put(Reference.parse(name), target);
    }

    private PreparedRootfs prepare(String name) throws InterruptedException {
        return new RootfsStore(path).prepare(new ImageReference.InRegistry(Reference.parse(name)), RootfsProgress.NONE);
    }

    /** Of one layer for each content, as a pull leaves it. */
    private Descriptor image(String... contents) {
        ImageBuilder builder = new ImageBuilder();
        for (String content : contents) {
            builder.gzipLayer(new TarBuilder().file("f", content).bytes());
        }
        byte[] manifest = builder.manifestText().getBytes(StandardCharsets.UTF_8);
        Map<String, byte[]> files = builder.layout("t");
        files.keySet().removeIf(name -> !name.startsWith("blobs/"));
        ImageBuilder.write(files, path.resolve("registry"));
        return new Descriptor(
                ImageBuilder.MANIFEST, Digest.sha256(manifest), manifest.length, new Platform("", "", ""), Map.of());
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
