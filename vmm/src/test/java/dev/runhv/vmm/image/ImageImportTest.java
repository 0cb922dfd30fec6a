package dev.runhv.vmm.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.registry.BlobStore;
import dev.runhv.vmm.testing.ImageBuilder;
import dev.runhv.vmm.testing.TarBuilder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ImageImportTest {
    @TempDir
    Path folder;

    private final byte[] root = new TarBuilder().file("a", "one").bytes();

    private ImageBlobs put(byte[] tar, String... changes) throws IOException {
        Path file = Files.write(folder.resolve("root.tar"), tar);
        Path store = folder.resolve("store");
        byte[] config = config(changes).text(ImageImport.diffId(file), Instant.EPOCH, "Imported");
        Descriptor manifest = ImageImport.put(new BlobStore(store), file, config);
        return ImageBlobs.of("read", new ImageFiles.Directory(store), manifest);
    }

    private static ImportedConfig config(String... changes) {
        return new ImportedConfig("import", List.of(changes));
    }

    private static ImageConfig parsed(String... changes) throws IOException {
        return ImageConfig.parse(config(changes).text(Digest.sha256(new byte[0]), Instant.EPOCH, "-"));
    }

    @Test
    void tarBecomesTheOnlyLayerAsItIs() throws IOException {
        for (byte[] stored : List.of(root, ImageBuilder.gzip(root))) {
            ImageBlobs blobs = put(stored);
            assertThat(blobs.blobs()).hasSize(3);
            assertThat(blobs.blobs().get(1).digest()).isEqualTo(Digest.sha256(stored));
            assertThat(blobs.blobs().get(1).mediaType())
                    .isEqualTo(ImageBuilder.LAYER + (Arrays.equals(stored, root) ? "" : "+gzip"));
            byte[] text = Files.readAllBytes(folder.resolve("store")
                    .resolve(OciReader.path(blobs.blobs().getFirst().digest())));
            ImageConfig config = ImageConfig.parse(text);
            assertThat(config.diffIds()).containsExactly(Digest.sha256(root));
            assertThat(config.saysPlatform()).isTrue();
        }
    }

    @Test
    void refusesWhatIsNoTarAndLeavesNothing() {
        for (byte[] wrong : List.of(
                new byte[0],
                ImageBuilder.bytes("x".repeat(2000)),
                ImageBuilder.gzip(new byte[0]),
                ImageBuilder.gzip(ImageBuilder.bytes("no tar, neither".repeat(99))))) {
            assertThatThrownBy(() -> put(wrong)).isInstanceOf(CorruptInputException.class);
        }
        assertThatThrownBy(() -> put(Arrays.copyOf(root, 514))).isInstanceOf(IOException.class);
        assertThat(folder.resolve("store")).doesNotExist();
    }

    @Test
    void changesAreInstructionsOfADockerfile() throws IOException {
        ImageConfig config = parsed(
                "CMD [\"a\", \"b c\"]",
                "entrypoint exec /init \"$@\"",
                "ENV A=1 B=\"two words\" C=\\ x",
                "ENV A=2",
                "ENV OLD form of it",
                "LABEL k='v \"w'",
                "EXPOSE 80 53/udp",
                "VOLUME /data /more",
                "USER me:us",
                "WORKDIR /srv",
                "STOPSIGNAL SIGINT");
        assertThat(config.cmd()).containsExactly("a", "b c");
        assertThat(config.entrypoint()).containsExactly("/bin/sh", "-c", "exec /init \"$@\"");
        assertThat(config.env()).containsExactly("A=2", "B=two words", "C= x", "OLD=form of it");
        assertThat(config.labels()).isEqualTo(Map.of("k", "v \"w"));
        assertThat(config.exposedPorts()).containsExactly("80/tcp", "53/udp");
        assertThat(config.volumes()).containsExactly("/data", "/more");
        assertThat(config.user()).isEqualTo("me:us");
        assertThat(config.workingDir()).isEqualTo("/srv");
        assertThat(config.stopSignal()).isEqualTo("SIGINT");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "CMD",
                "RUN true",
                "CMD [\"a\"",
                "CMD [1]",
                "ENV A",
                "ENV A=1 =2",
                "ENV A=\"1",
                "EXPOSE 65536",
                "EXPOSE 80/icmp",
                "WORKDIR srv"
            })
    void changeThatIsNotUnderstoodIsNamed(String change) {
        assertThatThrownBy(() -> config(change))
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_ARGUMENT))
                .hasMessageContaining("--change \"" + change + "\": ");
    }
}
