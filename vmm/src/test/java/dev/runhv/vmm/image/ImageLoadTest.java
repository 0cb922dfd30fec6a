package dev.runhv.vmm.image;

import static dev.runhv.vmm.testing.ImageBuilder.INDEX;
import static dev.runhv.vmm.testing.ImageBuilder.bytes;
import static dev.runhv.vmm.testing.ImageBuilder.tagged;
import static dev.runhv.vmm.testing.ImageBuilder.with;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.testing.ImageBuilder;
import dev.runhv.vmm.testing.TarBuilder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Archives into a store of blobs, and out of it. */
@Timeout(60)
class ImageLoadTest {
    private static final String NAMED = "\"annotations\":{\"io.containerd.image.name\":\"%s\"}";

    private static final String DOCKER = "[{\"Config\":\"config.json\",\"RepoTags\":[\"web:1\"],\"Layers\":[%s]}]";

    @TempDir
    Path folder;

    private final byte[] one = new TarBuilder().file("a", "one").bytes();
    private final byte[] two = new TarBuilder().file("b", "two").bytes();

    private Path store() {
        return folder.resolve("store");
    }

    private Path blob(byte[] content) {
        return store().resolve("registry").resolve(OciReader.path(Digest.sha256(content)));
    }

    private List<Reference> load(byte[] archive, String... name) throws IOException, InterruptedException {
        Path file = Files.write(folder.resolve("archive"), archive);
        return ImageLoad.load(
                file, store(), Arrays.stream(name).map(Reference::parse).findFirst(), PullProgress.NONE);
    }

    private List<Reference> load(Map<String, byte[]> layout, String... name) throws IOException, InterruptedException {
        return load(ImageBuilder.archive(layout), name);
    }

    private Descriptor target(String name) throws IOException {
        return new NamedImages(store()).find(Reference.parse(name)).orElseThrow();
    }

    private void refuses(byte[] archive, ErrorCode code, String words) throws Exception {
        assertThatThrownBy(() -> load(archive))
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(code))
                .hasMessageContaining(words);
        assertThat(new NamedImages(store()).list().images()).isEmpty();
        if (Files.exists(store().resolve("registry/partial"))) {
            assertThat(store().resolve("registry/partial")).isEmptyDirectory();
        }
    }

    @Test
    void takesALayoutAsItIs() throws Exception {
        ImageBuilder image = new ImageBuilder().gzipLayer(one).layer(two);
        Map<String, byte[]> layout = image.layoutOf(
                image.manifestDescriptor(NAMED.formatted("docker.io/library/web:1")),
                image.manifestDescriptor(tagged("localhost/web:2")),
                image.manifestDescriptor(tagged("latest")));
        assertThat(load(ImageBuilder.gzip(ImageBuilder.archive(layout))))
                .containsExactly(Reference.parse("web:1"), Reference.parse("localhost/web:2"));
        assertThat(target("web:1").digest()).isEqualTo(Digest.sha256(bytes(image.manifestText())));
        layout.forEach((name, content) -> {
            if (name.startsWith("blobs/")) {
                assertThat(store().resolve("registry").resolve(name)).hasBinaryContent(content);
            }
        });
        // What is there is not written again.
        Files.setLastModifiedTime(blob(two), FileTime.fromMillis(0));
        load(layout);
        assertThat(Files.getLastModifiedTime(blob(two)).toMillis()).isZero();
    }

    @Test
    void imageWithoutANameGetsTheOneThatIsGiven() throws Exception {
        ImageBuilder image = new ImageBuilder().layer(one);
        Map<String, byte[]> layout = image.layout("latest");
        refuses(ImageBuilder.archive(layout), ErrorCode.INVALID_ARGUMENT, "give it one by --name");
        assertThat(load(layout, "web:3")).containsExactly(Reference.parse("web:3"));
        Map<String, byte[]> several = image.layoutOf(
                image.manifestDescriptor(""), new ImageBuilder().layer(two).manifestDescriptor(""));
        assertThatThrownBy(() -> load(several, "web:4")).hasMessageContaining("holds 2 images: --name is for one");
    }

    @Test
    void makesAManifestForWhatDockerSaves() throws Exception {
        ImageBuilder image = new ImageBuilder().layer(one).layer(two);
        byte[] archive = image.dockerArchive("registry.example/web:1").bytes();
        assertThat(load(archive)).containsExactly(Reference.parse("registry.example/web:1"));
        Descriptor target = target("registry.example/web:1");
        load(archive, "again");
        assertThat(target("again").digest()).isEqualTo(target.digest());
        ImageBlobs blobs = ImageBlobs.of("read", new ImageFiles.Directory(store().resolve("registry")), target);
        assertThat(blobs.blobs().stream().map(Descriptor::digest))
                .containsExactly(
                        Digest.sha256(bytes(image.configText())),
                        Digest.sha256(one),
                        Digest.sha256(two),
                        target.digest());
        assertThat(blobs.whole()).isTrue();
    }

    @Test
    void refusesWhatDockerSavedOtherwiseThanItSays() throws Exception {
        ImageBuilder other = new ImageBuilder().layer(ImageBuilder.LAYER, one, two);
        byte[] archive = new ImageBuilder().layer(two).dockerArchive("web:1").bytes();
        refuses(
                new TarBuilder()
                        .file("layer.tar", one)
                        .file("config.json", bytes(other.configText()))
                        .file("manifest.json", DOCKER.formatted("\"layer.tar\""))
                        .bytes(),
                ErrorCode.CORRUPT_INPUT,
                "layer layer.tar does not match its digest");
        refuses(
                new TarBuilder()
                        .file("config.json", bytes(other.configText()))
                        .file("manifest.json", DOCKER.formatted(""))
                        .bytes(),
                ErrorCode.CORRUPT_INPUT,
                "1 diff_ids for 0 layers");
        refuses(new TarBuilder().file("manifest.json", "[]").bytes(), ErrorCode.CORRUPT_INPUT, "holds no image");
        refuses(new TarBuilder().file("a", "b").bytes(), ErrorCode.CORRUPT_INPUT, "no manifest.json");
        refuses(Arrays.copyOf(archive, 1024), ErrorCode.CORRUPT_INPUT, "");
    }

    @Test
    void refusesWhatIsMissingOrDamaged() throws Exception {
        ImageBuilder image = new ImageBuilder().layer(one);
        Map<String, byte[]> layout = new HashMap<>(image.layout("web:1"));
        String layer = "blobs/sha256/" + Digest.sha256(one).hex();
        byte[] damaged = one.clone();
        damaged[0]++;
        layout.put(layer, damaged);
        refuses(ImageBuilder.archive(layout), ErrorCode.CORRUPT_INPUT, "does not match its digest");
        assertThat(blob(one)).doesNotExist();
        layout.remove(layer);
        refuses(
                ImageBuilder.archive(layout),
                ErrorCode.CORRUPT_INPUT,
                "The blob " + Digest.sha256(one) + " is missing");
        refuses(
                ImageBuilder.archive(new ImageBuilder().layoutOf(image.manifestDescriptor(NAMED.formatted("../A")))),
                ErrorCode.INVALID_ARGUMENT,
                "../A");
    }

    /** Four times 4096 of one index each, which a reader without a memory reads 4096 to the power of four times. */
    @Test
    void looksOnceAtWhatIsNamedManyTimes() throws Exception {
        ImageBuilder image = new ImageBuilder().layer(one);
        String inner = image.manifestDescriptor("");
        for (int depth = 0; depth < 4; depth++) {
            String list = String.join(",", Collections.nCopies(4096, inner));
            inner = image.descriptor(INDEX, bytes("{\"schemaVersion\":2,\"manifests\":[" + list + "]}"));
        }
        assertThat(load(image.layoutOf(with(inner, tagged("a/b"))))).hasSize(1);
        Files.delete(new NamedImages(store())
                .folder()
                .resolve(Digest.sha256(bytes("docker.io/a/b:latest")).hex() + ".json"));
        String gone = "{\"mediaType\":\"%s\",\"size\":1,\"digest\":\"%s\"}"
                .formatted(ImageBuilder.MANIFEST, Digest.sha256(two));
        for (int depth = 0; depth < 4; depth++) {
            String list = String.join(",", Collections.nCopies(4096, gone));
            gone = image.descriptor(INDEX, bytes("{\"schemaVersion\":2,\"manifests\":[" + list + "]}"));
        }
        refuses(
                ImageBuilder.archive(new HashMap<>(image.layoutOf(with(gone, tagged("a/b"))))),
                ErrorCode.CORRUPT_INPUT,
                Digest.sha256(two) + " is missing");
        String deeper = image.descriptor(INDEX, bytes("{\"schemaVersion\":2,\"manifests\":[" + inner + "]}"));
        refuses(
                ImageBuilder.archive(image.layoutOf(with(deeper, tagged("a/b")))),
                ErrorCode.CORRUPT_INPUT,
                "nested more than 4 deep");
    }

    @Test
    void savesTheSameBytesThatItLoads() throws Exception {
        ImageBuilder arm = new ImageBuilder().platform("linux", "arm64").layer(two);
        ImageBuilder image = new ImageBuilder().gzipLayer(one).layer(two);
        String manifest = image.manifestDescriptor("");
        String index = image.descriptor(
                INDEX,
                bytes("{\"schemaVersion\":2,\"mediaType\":\"%s\",\"manifests\":[%s,%s]}"
                        .formatted(
                                INDEX,
                                with(manifest, "\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}"),
                                with(
                                        arm.manifestDescriptor(""),
                                        "\"platform\":{\"os\":\"linux\",\"architecture\":\"arm64\"}"))));
        List<Reference> names = load(image.layoutOf(
                with(index, NAMED.formatted("docker.io/library/web:1")), with(manifest, tagged("a/b:2"))));
        Descriptor web = target("web:1");
        byte[] saved = save(names);
        assertThat(save(names)).isEqualTo(saved);
        assertThat(load(saved)).isEqualTo(names);
        // The store has the image for linux/amd64 only: that is what is saved.
        assertThat(web.digest()).isNotEqualTo(target("web:1").digest());
        assertThat(target("web:1").digest()).isEqualTo(target("a/b:2").digest());
        Path file = folder.resolve("archive");
        for (String reference : List.of(
                "oci-archive:" + file + ":docker.io/library/web:1",
                "oci-archive:" + file + ":2",
                "docker-archive:" + file + ":docker.io/a/b:2",
                "docker-archive:" + file + ":docker.io/library/web:1")) {
            try (ImageSource source = ImageSource.open(ImageReference.parse(reference), folder.resolve("unused"))) {
                assertThat(source.layers()).hasSize(2);
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
        }
    }

    @Test
    void savesOverNothingButAFile() throws Exception {
        ImageBuilder image = new ImageBuilder().layer(one);
        List<Reference> names = load(image.layoutOf(with(image.manifestDescriptor(""), tagged("a/b:2"))));
        Path there = Files.createDirectory(folder.resolve("there"));
        assertThatThrownBy(() -> ImageSave.save(names, Optional.empty(), store(), there))
                .isInstanceOf(RunhvException.class)
                .hasMessageContaining(there + " is no regular file: use > instead");
        assertThat(there).isEmptyDirectory();
    }

    private byte[] save(List<Reference> names) throws IOException, InterruptedException {
        Path file = folder.resolve("archive");
        ImageSave.save(names, Optional.empty(), store(), file);
        return Files.readAllBytes(file);
    }
}
