package dev.runhv.vmm.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.RunhvException;
import java.io.File;
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
    @CsvSource({
        "busybox, docker.io/library/busybox:latest",
        "docker://debian:12, docker.io/library/debian:12",
        "me/web, docker.io/me/web:latest",
        "index.docker.io/web, docker.io/library/web:latest",
        "localhost/web, localhost/web:latest",
        "localhost:5000/a/b:1, localhost:5000/a/b:1",
        "[::1]:5000/web, [::1]:5000/web:latest"
    })
    void fillsInDockersDefaults(String text, String whole) {
        assertThat(ImageReference.parse(text)).hasToString("docker://" + whole);
    }

    /** OCI distribution 1.1, "Pulling manifests". */
    @ParameterizedTest
    @ValueSource(strings = {"a.b", "a_b", "a__b", "a-b", "a---b", "0/a1/b.c_d__e--f", "web:_", "web:A.b-C_d", "web:1"})
    void takesNamesAndTagsOfTheSpecification(String text) {
        assertThat(ImageReference.parse(text).toString())
                .startsWith("docker://docker.io/")
                .contains(text);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "a..b", "a___b", "a._b", "a_-b", ".a", "-a", "_a", "a.", "a-", "a__", "a//b", "a/", "a b", "a/é",
                "web:.a", "web:-a", "web:", "web:a/b", "web:a b", "web:é"
            })
    void refusesOtherNamesAndTags(String text) {
        assertThatThrownBy(() -> ImageReference.parse(text)).isInstanceOf(RunhvException.class);
    }

    /** Those of the defaults, docker.io/library/ and :latest, are counted: the whole is kept, and read again. */
    @Test
    void theWholeHas512CharactersAtMost() {
        String longest = "a".repeat(512 - "docker.io/library/:latest".length());
        String whole = ImageReference.parse(longest).toString();
        assertThat(ImageReference.parse(whole)).hasToString(whole);
        assertThatThrownBy(() -> ImageReference.parse(longest + "a")).hasMessageContaining("longer than 512");
    }

    @Test
    void tagsHave128CharactersAtMost() {
        assertThat(ImageReference.parse("web:" + "t".repeat(128)).toString()).endsWith("t");
        assertThatThrownBy(() -> ImageReference.parse("web:" + "t".repeat(129))).hasMessageContaining("128");
    }

    @ParameterizedTest
    @ValueSource(strings = {"oci:/a/b", "oci:/a:t", "oci-archive:/f:t", "docker-archive:/f:r:t"})
    void writesWhatItReads(String text) {
        assertThat(ImageReference.parse(text)).hasToString(text.replace('/', File.separatorChar));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "Debian | oci:DIR[:TAG]",
                "localhost:5000/../x | oci:DIR[:TAG]",
                "web:a/../b | no registry",
                "web:.. | A tag has",
                "web@sha256:12 | is no digest",
                "1.2.3.999/web | no registry",
                "docker: | A tag has",
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
