package dev.runhv.vmm.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.RunhvException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ImageReferenceTest {
    @Test
    void readsEveryForm() {
        assertThat(ImageReference.parse("oci:/a/b")).isEqualTo(new ImageReference.OciLayout(Path.of("/a/b"), ""));
        assertThat(ImageReference.parse("oci:b:latest"))
                .isEqualTo(new ImageReference.OciLayout(Path.of("b"), "latest"));
        assertThat(ImageReference.parse("oci-archive:/a.tar:x"))
                .isEqualTo(new ImageReference.OciArchive(Path.of("/a.tar"), "x"));
        assertThat(ImageReference.parse("docker-archive:/a.tar:localhost:5000/web:1"))
                .isEqualTo(new ImageReference.DockerArchive(Path.of("/a.tar"), "localhost:5000/web:1"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"oci:/a/b", "oci:/a:t", "oci-archive:/f:t", "docker-archive:/f:r:t"})
    void writesWhatItReads(String text) {
        assertThat(ImageReference.parse(text)).hasToString(text);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "debian:12 | oci:DIR[:TAG]",
                "docker://debian | skopeo copy",
                "/some/folder | oci:DIR[:TAG]",
                "oci: | The path is missing",
                "oci::tag | The path is missing",
                "oci:/a: | The tag after the last colon is empty"
            })
    void saysWhatToWriteInstead(String text, String message) {
        assertThatThrownBy(() -> ImageReference.parse(text))
                .isInstanceOf(RunhvException.class)
                .hasMessageContainingAll(text, message);
    }
}
