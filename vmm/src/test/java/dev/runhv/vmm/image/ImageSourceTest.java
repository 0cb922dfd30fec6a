package dev.runhv.vmm.image;

import static dev.runhv.vmm.testing.ImageBuilder.CONFIG;
import static dev.runhv.vmm.testing.ImageBuilder.INDEX;
import static dev.runhv.vmm.testing.ImageBuilder.LAYER;
import static dev.runhv.vmm.testing.ImageBuilder.MANIFEST;
import static dev.runhv.vmm.testing.ImageBuilder.bytes;
import static dev.runhv.vmm.testing.ImageBuilder.tagged;
import static dev.runhv.vmm.testing.ImageBuilder.with;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.Compression;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.testing.ImageBuilder;
import dev.runhv.vmm.testing.TarBuilder;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ImageSourceTest {
    @TempDir
    private Path folder;

    private final byte[] tar = new TarBuilder().file("hello", "world").bytes();

    @Test
    void readsTheConfigurationAndLayersOfALayout() throws IOException {
        ImageBuilder image = new ImageBuilder()
                .gzipLayer(tar)
                .config(
                        "{\"Entrypoint\":[\"/init\"],\"Cmd\":null,\"User\":\"a:b\",\"WorkingDir\":\"/w\",\"Env\":[\"A=1\"],"
                                + "\"StopSignal\":\"SIGINT\",\"Labels\":{\"k\":\"v\"},\"Volumes\":{\"/data\":{}}}");
        Path layout = image.writeTo(folder.resolve("oci"), "latest");

        try (ImageSource source = open("oci:" + layout + ":latest")) {
            ImageConfig config = source.config();
            assertThat(config.entrypoint()).containsExactly("/init");
            assertThat(config.cmd()).isEmpty();
            assertThat(config.user()).isEqualTo("a:b");
            assertThat(config.workingDir()).isEqualTo("/w");
            assertThat(config.env()).containsExactly("A=1");
            assertThat(config.stopSignal()).isEqualTo("SIGINT");
            assertThat(config.labels()).isEqualTo(Map.of("k", "v"));
            assertThat(config.volumes()).containsExactly("/data");
            assertThat(config.diffIds()).containsExactly(Digest.sha256(tar));
            assertThat(source.layers()).hasSize(1);
            try (InputStream layer =
                    Compression.decompress(source.layers().getFirst().open())) {
                assertThat(layer.readAllBytes()).isEqualTo(tar);
            }
        }
    }

    @Test
    void readsOciArchivesPlainAndCompressed() throws IOException {
        byte[] archive = ImageBuilder.archive(new ImageBuilder().layer(tar).layout("latest"));
        Path plain = Files.write(folder.resolve("plain.tar"), archive);
        Path gzip = Files.write(folder.resolve("image.tar.gz"), ImageBuilder.gzip(archive));

        for (Path file : new Path[] {plain, gzip}) {
            try (ImageSource source = open("oci-archive:" + file + ":latest");
                    InputStream layer = source.layers().getFirst().open()) {
                assertThat(layer.readAllBytes()).isEqualTo(tar);
            }
        }
    }

    @Test
    void readsDockerArchivesWithLinkedLayers() throws IOException {
        TarBuilder docker = new ImageBuilder().layer(tar).layer(tar).dockerArchive("web:1");
        docker.symlink("layer1/layer.tar", "../layer0/layer.tar");
        Path file = Files.write(folder.resolve("docker.tar"), docker.bytes());

        for (String reference : new String[] {"docker-archive:" + file, "docker-archive:" + file + ":web:1"}) {
            try (ImageSource source = open(reference)) {
                assertThat(source.layers()).hasSize(2);
                try (InputStream layer = source.layers().get(1).open()) {
                    assertThat(layer.readAllBytes()).isEqualTo(tar);
                }
            }
        }
    }

    @Test
    void choosesLinuxAmd64InNestedIndexesAndSkipsAttestations() {
        ImageBuilder image = new ImageBuilder().layer(tar);
        String wanted = image.manifestDescriptor(platform("linux", "amd64"));
        String other = with(image.descriptor(MANIFEST, bytes("{}")), platform("linux", "arm64"));
        String attestation = with(image.descriptor(MANIFEST, bytes("{ }")), platform("unknown", "unknown"));
        String index = image.descriptor(INDEX, bytes(index(attestation, other, wanted)));
        ImageBuilder.write(image.layoutOf(with(index, tagged("multi"))), folder);

        try (ImageSource source = open("oci:" + folder)) {
            assertThat(source.config().architecture()).isEqualTo("amd64");
        }
    }

    @Test
    void saysThatThereIsNoSuchImage() {
        assertFails(
                "oci:" + folder.resolve("none"),
                ErrorCode.NOT_FOUND,
                "No such image",
                folder.resolve("none").toString());
        assertFails("oci-archive:" + folder.resolve("none.tar"), ErrorCode.NOT_FOUND, "No such image", "none.tar");
        assertFails("docker-archive:" + folder.resolve("none.tar"), ErrorCode.NOT_FOUND, "No such image", "none.tar");
        assertFails("oci:" + folder, ErrorCode.CORRUPT_INPUT, "Not an OCI image layout", "index.json");
    }

    @Test
    void listsTheTagsThereAre() {
        ImageBuilder image = new ImageBuilder().layer(tar);
        String one = image.manifestDescriptor(tagged("one"));
        String two = new ImageBuilder().manifestDescriptor(tagged("two"));
        ImageBuilder.write(image.layoutOf(one, two), folder);

        assertFails("oci:" + folder + ":three", ErrorCode.NOT_FOUND, "No such tag: three", "one, two");
        assertFails("oci:" + folder, ErrorCode.INVALID_ARGUMENT, "several images", "one, two");
    }

    @Test
    void refusesATruncatedArchive() throws IOException {
        byte[] archive =
                ImageBuilder.archive(new ImageBuilder().layer(new byte[50_000]).layout("latest"));
        Path file = Files.write(folder.resolve("cut.tar"), Arrays.copyOf(archive, 20_000));
        Path gzip = Files.write(folder.resolve("cut.tar.gz"), Arrays.copyOf(ImageBuilder.gzip(archive), 300));

        assertFails("oci-archive:" + file, ErrorCode.CORRUPT_INPUT, "truncated");
        assertFails("oci-archive:" + gzip, ErrorCode.CORRUPT_INPUT, "truncated");
        Path text = Files.writeString(folder.resolve("text"), "This is no archive. ".repeat(100));
        assertFails("oci-archive:" + text, ErrorCode.CORRUPT_INPUT, "not a tar header");
    }

    @Test
    void namesTheBlobWhoseDigestDoesNotMatch() throws IOException {
        Map<String, byte[]> files = new ImageBuilder().layer(tar).layout("latest");
        Digest layer = Digest.sha256(tar);
        byte[] changed = tar.clone();
        changed[600] ^= 1;
        files.put("blobs/sha256/" + layer.hex(), changed);
        ImageBuilder.write(files, folder);

        try (ImageSource source = open("oci:" + folder);
                InputStream in = source.layers().getFirst().open()) {
            Throwable thrown = catchThrowableOfType(CorruptInputException.class, in::readAllBytes);
            assertThat(thrown)
                    .hasMessageContainingAll(
                            "layer " + layer, "expected " + layer, "its content has " + Digest.sha256(changed));
        }
    }

    @Test
    void refusesABlobThatIsLongerOrShorterThanItsDescriptorSays() {
        Map<String, byte[]> files = new ImageBuilder().layer(tar).layout("latest");
        String name = "blobs/sha256/" + Digest.sha256(tar).hex();
        files.put(name, Arrays.copyOf(tar, tar.length + 1));
        ImageBuilder.write(files, folder);
        assertFails("oci:" + folder, ErrorCode.CORRUPT_INPUT, "has 2049 bytes, its descriptor says 2048");

        files.put(name, Arrays.copyOf(tar, 10));
        ImageBuilder.write(files, folder);
        assertFails("oci:" + folder, ErrorCode.CORRUPT_INPUT, "has 10 bytes, its descriptor says 2048");
    }

    @Test
    void namesAnUnknownMediaType() {
        ImageBuilder layer = new ImageBuilder().layer("application/x-layer", tar, tar);
        layer.writeTo(folder.resolve("1"), "latest");
        assertFails("oci:" + folder.resolve("1"), ErrorCode.UNSUPPORTED, "Layer 1", "\"application/x-layer\"");

        // ocicrypt
        new ImageBuilder().layer(LAYER + "+gzip+encrypted", tar, tar).writeTo(folder.resolve("5"), "latest");
        assertFails("oci:" + folder.resolve("5"), ErrorCode.UNSUPPORTED, "Layer 1 is encrypted", "+gzip+encrypted");

        String foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar";
        new ImageBuilder().layer(foreign, tar, tar).writeTo(folder.resolve("6"), "latest");
        assertFails("oci:" + folder.resolve("6"), ErrorCode.UNSUPPORTED, "Layer 1 is a foreign one", foreign);

        ImageBuilder manifest = new ImageBuilder();
        String text = manifest.manifestText();
        ImageBuilder.write(
                manifest.layoutOf(manifest.descriptor("application/x-manifest", bytes(text))), folder.resolve("2"));
        assertFails("oci:" + folder.resolve("2"), ErrorCode.UNSUPPORTED, "\"application/x-manifest\"");

        ImageBuilder artifact = new ImageBuilder();
        String config = artifact.descriptor("application/vnd.cncf.helm.config.v1+json", bytes("{}"));
        String artifactManifest =
                artifact.descriptor(MANIFEST, bytes("{\"schemaVersion\":2,\"config\":" + config + ",\"layers\":[]}"));
        ImageBuilder.write(artifact.layoutOf(artifactManifest), folder.resolve("3"));
        assertFails("oci:" + folder.resolve("3"), ErrorCode.UNSUPPORTED, "not a container image", "helm");

        ImageBuilder old = new ImageBuilder();
        String schema1 = old.descriptor("application/vnd.docker.distribution.manifest.v1+prettyjws", bytes("{}"));
        ImageBuilder.write(old.layoutOf(schema1), folder.resolve("4"));
        assertFails("oci:" + folder.resolve("4"), ErrorCode.UNSUPPORTED, "schema 1");
    }

    @Test
    void refusesAnotherNumberOfDiffIdsThanLayers() {
        new ImageBuilder().layer(tar).diffId(Digest.sha256(tar).toString()).writeTo(folder, "latest");

        assertFails("oci:" + folder, ErrorCode.CORRUPT_INPUT, "2 diff_ids for 1 layers");
    }

    @Test
    void refusesADocumentThatIsManifestAndIndexAtOnce() {
        ImageBuilder image = new ImageBuilder().layer(tar);
        String text = image.manifestText().replaceFirst("\\{", "{\"manifests\":[],");
        ImageBuilder.write(image.layoutOf(image.descriptor(MANIFEST, bytes(text))), folder.resolve("1"));
        assertFails("oci:" + folder.resolve("1"), ErrorCode.CORRUPT_INPUT, "both layers and manifests");

        String asIndex = image.manifestText().replaceFirst("\\{", "{\"manifests\":[],");
        ImageBuilder.write(image.layoutOf(image.descriptor(INDEX, bytes(asIndex))), folder.resolve("2"));
        assertFails("oci:" + folder.resolve("2"), ErrorCode.CORRUPT_INPUT, "both manifests and layers");
    }

    @Test
    void refusesAnotherPlatform() {
        new ImageBuilder().layer(tar).platform("linux", "arm64").writeTo(folder.resolve("1"), "latest");
        assertFails("oci:" + folder.resolve("1"), ErrorCode.UNSUPPORTED, "linux/arm64", "linux/amd64");

        ImageBuilder image = new ImageBuilder().layer(tar);
        String arm = image.manifestDescriptor(platform("linux", "arm"));
        ImageBuilder.write(image.layoutOf(arm), folder.resolve("2"));
        assertFails("oci:" + folder.resolve("2"), ErrorCode.UNSUPPORTED, "only for linux/arm");
    }

    @Test
    void endsAnIndexThatContainsItself() {
        // Content-addressed, so a true circle cannot exist; a deep nest can.
        ImageBuilder image = new ImageBuilder().layer(tar);
        String descriptor = image.manifestDescriptor("");
        for (int i = 0; i < 10; i++) {
            descriptor = image.descriptor(INDEX, bytes(index(descriptor)));
        }
        ImageBuilder.write(image.layoutOf(descriptor), folder);

        assertFails("oci:" + folder, ErrorCode.CORRUPT_INPUT, "nested");
    }

    @Test
    void refusesJsonThatIsTooDeepTooLargeOrAmbiguous() {
        assertConfigFails("{\"a\":" + "[".repeat(100_000), "depth");
        assertConfigFails("{\"os\":\"linux\",\"os\":\"windows\"}", "Duplicate");
        assertConfigFails("{\"os\":\"linux\"", "Not JSON");
        assertConfigFails("[]", "Not a JSON object");
        assertConfigFails("null", "Not a JSON object");
        assertConfigFails(" ", "empty");
        assertConfigFails("{},{}", "Not JSON");
        assertConfigFails("{} {}", "Something follows");
        assertConfigFails(
                "{\"os\":\"linux\",\"OS\":\"windows\",\"rootfs\":{\"diff_ids\":[]}}",
                "os is there twice, as os and as OS");
        assertConfigFails(
                "{\"os\":1,\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"layers\"}}", "os: expected a string");
        assertConfigFails(
                "{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"md5:1\"]}}",
                "\"md5:1\" is no digest");
        assertConfigFails("{" + " ".repeat(9 << 20) + "}", "more than 8388608");
    }

    private void assertConfigFails(String config, String message) {
        ImageBuilder image = new ImageBuilder();
        String manifest =
                "{\"schemaVersion\":2,\"config\":%s,\"layers\":[]}".formatted(image.descriptor(CONFIG, bytes(config)));
        Path layout = folder.resolve("json");
        ImageBuilder.write(image.layoutOf(image.descriptor(MANIFEST, bytes(manifest))), layout);

        assertFails("oci:" + layout, ErrorCode.CORRUPT_INPUT, message);
    }

    @Test
    void refusesDigestsThatWouldLeaveTheLayout() {
        ImageBuilder image = new ImageBuilder();
        String manifest =
                "{\"mediaType\":\"%s\",\"digest\":\"sha256:../../../../etc/passwd\",\"size\":1}".formatted(MANIFEST);
        ImageBuilder.write(image.layoutOf(manifest), folder);

        assertFails("oci:" + folder, ErrorCode.CORRUPT_INPUT, "is no digest");
    }

    @Test
    void tellsAnOciArchiveFromOneOfDocker() throws IOException {
        Path oci = Files.write(
                folder.resolve("oci.tar"),
                ImageBuilder.archive(new ImageBuilder().layer(tar).layout("t")));

        assertFails("docker-archive:" + oci, ErrorCode.CORRUPT_INPUT, "write oci-archive:");
        assertFails("oci-archive:" + folder, ErrorCode.CORRUPT_INPUT, "is a folder");
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "there it has a name until it is closed")
    void aCompressedArchiveIsGoneWithTheProcess() throws IOException {
        byte[] archive = ImageBuilder.archive(new ImageBuilder().layer(tar).layout("latest"));
        Path gzip = Files.write(folder.resolve("image.tar.gz"), ImageBuilder.gzip(archive));
        Path temporary = Path.of(System.getProperty("java.io.tmpdir"));

        try (ImageSource source = open("oci-archive:" + gzip);
                InputStream layer = source.layers().getFirst().open()) {
            try (Stream<Path> files = Files.list(temporary)) {
                assertThat(files.filter(file -> file.getFileName().toString().startsWith("runhv-archive-")))
                        .isEmpty();
            }
            assertThat(layer.readAllBytes()).isEqualTo(tar);
        }
    }

    @Test
    void aCompressedArchiveHasALimit() throws IOException {
        Path bomb = Files.write(folder.resolve("bomb.tar.gz"), ImageBuilder.gzip(new byte[100_001]));

        ArchiveFiles.content(bomb, 100_001).close();
        assertThatThrownBy(() -> ArchiveFiles.content(bomb, 100_000))
                .isInstanceOf(CorruptInputException.class)
                .hasMessageContaining("more than 100000 bytes decompressed");
    }

    @Test
    void theNamesInAnArchiveHaveALimit() throws IOException {
        TarBuilder names = new TarBuilder();
        String part = "n".repeat(1 << 19);
        for (int i = 0; i <= ImageLimits.ARCHIVE_NAME_BYTES >> 19; i++) {
            names.pax("path", part + i).file("short", "");
        }
        Path file = Files.write(folder.resolve("names.tar"), names.bytes());

        assertFails("oci-archive:" + file, ErrorCode.CORRUPT_INPUT, "The names in the archive have more than");
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "there are no pipes among files")
    void aPipeIsNoArchive() throws Exception {
        Path pipe = folder.resolve("pipe.tar");
        assumeThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor())
                .as("mkfifo makes a pipe")
                .isZero();

        assertFails("oci-archive:" + pipe, ErrorCode.CORRUPT_INPUT, "is not a regular file");
    }

    @Test
    void aSizeThatOverflowsIsNoPlaceInTheArchive() throws IOException {
        byte[] label = TarBuilder.header('V', "v", "", Long.MAX_VALUE - 300, 0, 0, 0, 0, 0, 0);
        byte[] tarball = new TarBuilder()
                .raw(label)
                .file("index.json", "{}")
                .file("manifest.json", "[]")
                .bytes();
        Path file = Files.write(folder.resolve("overflow.tar"), tarball);

        assertFails("oci-archive:" + file, ErrorCode.CORRUPT_INPUT, "size is too large");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
                    {"User":"a\\u0000b"}             | config.User: expected a string without NUL
                    {"WorkingDir":"/\\ud800"}        | Not JSON: something is out of place at $.config.WorkingDir
                    {"Env":["A=b","C=\\udc00\\ud800"]} | Not JSON: something is out of place at $.config.Env[1]
                    {"Cmd":["\\u0000"]}              | config.Cmd[0]: expected a string without NUL
                    {"Entrypoint":["a",7]}           | config.Entrypoint[1]: expected a string
                    {"Entrypoint":"sh"}              | config.Entrypoint: expected an array
                    {"User":0}                       | config.User: expected a string
                    {"Labels":[]}                    | config.Labels: expected an object
                    {"Volumes":"/data"}              | config.Volumes: expected an object
                    []                               | config: expected an object
                    """)
    void namesTheFieldOfTheConfigurationThatIsWrong(String config, String message) {
        Path layout = new ImageBuilder().layer(tar).config(config).writeTo(folder.resolve("oci"), "t");

        assertFails("oci:" + layout, ErrorCode.CORRUPT_INPUT, message);
    }

    @Test
    void takesTextOfAnyPlane() {
        Path layout = new ImageBuilder()
                .layer(tar)
                .config("{\"User\":\"\\ud83d\\udc0b\"}")
                .writeTo(folder.resolve("oci"), "t");

        try (ImageSource source = open("oci:" + layout)) {
            assertThat(source.config().user()).isEqualTo("\ud83d\udc0b");
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "[]}",
                "[],\"x\":[]",
                "[{\"Config\":\"c\",\"Layers\":[]}],\"x\":[1]",
                "[] []",
                "[",
                "{\"images\":[]}",
                "[1]",
                "[null]",
                "[{\"Config\":\"c\",\"config\":\"d\"}]",
                "[\ud83d]"
            })
    void anArrayIsAWholeDocument(String text) throws IOException {
        byte[] bytes = text.equals("[\ud83d]") ? new byte[] {'[', '"', (byte) 0xf0, '"', ']'} : bytes(text);
        Path file = Files.write(
                folder.resolve("docker.tar"),
                new TarBuilder().file("manifest.json", bytes).file("c", "{}").bytes());

        assertFails("docker-archive:" + file, ErrorCode.CORRUPT_INPUT, "The manifest.json cannot be used");
    }

    @Test
    void jsonOfAnotherEncodingIsRefused() throws IOException {
        for (Charset charset : List.of(StandardCharsets.UTF_16LE, StandardCharsets.UTF_16BE)) {
            Path file = Files.write(
                    folder.resolve("docker.tar"),
                    new TarBuilder()
                            .file("manifest.json", "[{\"Config\":\"c\",\"Layers\":[]}]".getBytes(charset))
                            .bytes());

            assertFails("docker-archive:" + file, ErrorCode.CORRUPT_INPUT, "Not JSON");
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{}",
                "null",
                "{\"Entrypoint\":null,\"Cmd\":null,\"Env\":null,\"User\":null,\"WorkingDir\":null,\"StopSignal\":null,"
                        + "\"Labels\":null,\"Volumes\":null,\"ExposedPorts\":null}",
                "{\"Entrypoint\":[],\"Cmd\":[],\"Env\":[],\"User\":\"\",\"WorkingDir\":\"\",\"StopSignal\":\"\",\"Labels\":{},"
                        + "\"Volumes\":{},\"ExposedPorts\":{}}",
                "{\"Entrypoint\":[\"\"],\"Cmd\":[\"\"]}"
            })
    void nullAndEmptyAreHowBuildersSayNothing(String config) {
        Path layout = new ImageBuilder().layer(tar).config(config).writeTo(folder.resolve("oci"), "t");

        try (ImageSource source = open("oci:" + layout)) {
            assertThat(source.config())
                    .isEqualTo(new ImageConfig(
                            "linux",
                            "amd64",
                            List.of(Digest.sha256(tar)),
                            List.of(),
                            List.of(),
                            List.of(),
                            "",
                            "",
                            "",
                            List.of(),
                            List.of(),
                            Map.of(),
                            ""));
        }
    }

    @ParameterizedTest
    @CsvSource({"'',''", "linux,''", "'',amd64", "'',x86_64"})
    void aPlatformThatIsNotSaidIsOurs(String os, String architecture) {
        ImageBuilder image = new ImageBuilder().layer(tar).platform(os, architecture);
        ImageBuilder.write(image.layoutOf(image.manifestDescriptor(platform(os, architecture))), folder);

        try (ImageSource source = open("oci:" + folder)) {
            assertThat(source.config().saysPlatform()).isFalse();
        }
    }

    @Test
    void theEntryThatSaysItsPlatformIsPreferred() {
        ImageBuilder image = new ImageBuilder().layer(tar);
        String unsaid = with(image.descriptor(MANIFEST, bytes("{}")), platform("linux", ""));
        String said = image.manifestDescriptor(platform("linux", "amd64"));
        ImageBuilder.write(
                image.layoutOf(with(image.descriptor(INDEX, bytes(index(unsaid, said))), tagged("t"))), folder);

        try (ImageSource source = open("oci:" + folder)) {
            assertThat(source.layers()).hasSize(1);
        }
    }

    @Test
    void halfAPlatformOfAnotherKindIsRefused() {
        new ImageBuilder().layer(tar).platform("", "arm64").writeTo(folder.resolve("1"), "t");
        assertFails("oci:" + folder.resolve("1"), ErrorCode.UNSUPPORTED, "(unsaid)/arm64");
        new ImageBuilder().layer(tar).platform("windows", "").writeTo(folder.resolve("2"), "t");
        assertFails("oci:" + folder.resolve("2"), ErrorCode.UNSUPPORTED, "windows/(unsaid)");
    }

    @Test
    void noNameMovesATerminalsCursor() throws IOException {
        Path layout = new ImageBuilder().layer(tar).writeTo(folder.resolve("oci"), "\\u001b[2J\\n\\u009b1m");

        assertFails("oci:" + layout + ":none", ErrorCode.NOT_FOUND, "there is \\x1b[2J\\x0a\\x9b1m");
    }

    @Test
    void knowsTheMediaTypesOfDocker() {
        assertThat(MediaType.of("application/vnd.docker.image.rootfs.diff.tar.gzip"))
                .isEqualTo(MediaType.LAYER);
        assertThat(MediaType.of(LAYER + "+zstd")).isEqualTo(MediaType.LAYER);
        assertThat(MediaType.of("")).isEqualTo(MediaType.UNKNOWN);
    }

    private static String index(String... descriptors) {
        return "{\"schemaVersion\":2,\"manifests\":[" + String.join(",", descriptors) + "]}";
    }

    private static String platform(String os, String architecture) {
        return "\"platform\":{\"os\":\"%s\",\"architecture\":\"%s\"}".formatted(os, architecture);
    }

    private static ImageSource open(String reference) {
        try {
            return ImageSource.open(ImageReference.parse(reference), Path.of("no-store"));
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    private static void assertFails(String reference, ErrorCode code, String... messages) {
        RunhvException thrown =
                catchThrowableOfType(RunhvException.class, () -> open(reference).close());
        assertThat(thrown).as(reference).isNotNull().hasMessageContainingAll(messages);
        assertThat(thrown.code()).isEqualTo(code);
        assertThat(thrown.operation()).startsWith("read image " + reference.substring(0, reference.indexOf(':')));
    }
}
