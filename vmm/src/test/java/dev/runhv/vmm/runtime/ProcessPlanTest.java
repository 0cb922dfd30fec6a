package dev.runhv.vmm.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.RequestException;
import dev.runhv.vmm.image.ImageConfig;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ProcessPlanTest {
    private static final UserDatabase NO_USERS = new UserDatabase(null, null);

    @Test
    void argumentsReplaceTheImagesCommandAndKeepItsEntryPoint() {
        assertThat(arguments(null, List.of(), List.of("serve"), List.of("-v"))).containsExactly("serve", "-v");
        assertThat(arguments(null, List.of("-q"), List.of("serve"), List.of("-v")))
                .containsExactly("serve", "-q");
        assertThat(arguments(null, List.of(), List.of(), List.of("sh"))).containsExactly("sh");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "x", "../x", "net..x", "net/../x", "net.\0", ".net", "kernel.a b"})
    void aNameOfASysctlLeadsNowhereElse(String name) {
        assertThatThrownBy(() -> new BundleRequest(
                        "web",
                        "oci:web",
                        Path.of("/store").toAbsolutePath(),
                        Path.of("/run/web").toAbsolutePath(),
                        List.of(),
                        "",
                        "",
                        null,
                        List.of(),
                        "",
                        0,
                        0,
                        0,
                        null,
                        null,
                        true,
                        "",
                        Map.of(name, "1"),
                        Map.of(),
                        null))
                .isInstanceOf(RequestException.class)
                .hasMessageContaining("no name of a sysctl");
    }

    @Test
    void anEntryPointOfOnesOwnDropsTheImagesCommand() {
        assertThat(arguments(List.of("ls"), List.of(), List.of("serve"), List.of("-v")))
                .containsExactly("ls");
        assertThat(arguments(List.of("ls"), List.of("/"), List.of("serve"), List.of("-v")))
                .containsExactly("ls", "/");
        assertThat(arguments(List.of(), List.of("id"), List.of("serve"), List.of("-v")))
                .containsExactly("id");
    }

    @Test
    void noCommandAtAllIsAnErrorThatSaysWhatToDo() {
        assertThatThrownBy(() -> arguments(null, List.of(), List.of(), List.of()))
                .isInstanceOf(RequestException.class)
                .hasMessageContaining("write one after the image");
        assertThatThrownBy(() -> arguments(List.of(), List.of(), List.of("serve"), List.of("-v")))
                .isInstanceOf(RequestException.class);
    }

    @Test
    void theRequestsEnvironmentWinsAndNothingIsThereTwice() {
        ImageConfig image = image(List.of("sh"), List.of(), List.of("PATH=/bin", "LANG=C", "EMPTY=", "NOTHING"), "");
        BundleRequest request = request("web", List.of("LANG=de", "A=b=c"), "", "");

        assertThat(ProcessPlan.of(request, image, NO_USERS).environment())
                .containsExactly("PATH=/bin", "HOSTNAME=web", "LANG=de", "EMPTY=", "A=b=c", "HOME=/");
    }

    @Test
    void pathAndHomeAreThereEvenWhereNobodyNamesThem() {
        BundleRequest request = request("web", List.of("HOME=/mine"), "", "");

        assertThat(ProcessPlan.of(request, image(List.of("sh"), List.of(), List.of(), ""), NO_USERS)
                        .environment())
                .containsExactly(
                        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                        "HOSTNAME=web",
                        "HOME=/mine");
    }

    @Test
    void theWorkingDirectoryIsAbsolute() {
        assertThat(cwd("", "")).isEqualTo("/");
        assertThat(cwd("", "srv")).isEqualTo("/srv");
        assertThat(cwd("", "/srv")).isEqualTo("/srv");
        assertThat(cwd("/here", "/srv")).isEqualTo("/here");
    }

    @Test
    void aLongNameMakesAHostNameThatLinuxTakes() {
        String id = "x".repeat(128);
        assertThat(ProcessPlan.of(
                                request(id, List.of(), "", ""),
                                image(List.of("sh"), List.of(), List.of(), ""),
                                NO_USERS)
                        .hostname())
                .isEqualTo("x".repeat(63));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "a/b", "..", "-x", "../up", "ä", "a b", "a\n"})
    void namesThatCouldBePathsAreRefused(String id) {
        assertThatThrownBy(() -> request(id, List.of(), "", ""))
                .isInstanceOf(RequestException.class)
                .hasMessageContaining("The name may have");
        assertThatThrownBy(() -> request("x".repeat(129), List.of(), "", "")).isInstanceOf(RequestException.class);
    }

    @Test
    void valuesThatLinuxCannotTakeAreRefused() {
        assertThatThrownBy(() -> request("web", List.of("A=b\0c"), "", "")).hasMessageContaining("NUL");
        assertThatThrownBy(() -> request("web", List.of("=b"), "", "")).hasMessageContaining("NAME=value");
        assertThatThrownBy(() -> request("web", List.of(), "srv", "")).hasMessageContaining("not absolute");
        assertThatThrownBy(() -> request("web", List.of(), "", "h".repeat(65))).hasMessageContaining("64 bytes");
    }

    private static String cwd(String asked, String images) {
        return ProcessPlan.of(
                        request("web", List.of(), asked, ""),
                        image(List.of("sh"), List.of(), List.of(), images),
                        NO_USERS)
                .cwd();
    }

    private static List<String> arguments(
            List<String> entrypoint, List<String> arguments, List<String> imageEntrypoint, List<String> imageCmd) {
        BundleRequest request = new BundleRequest(
                "web",
                "oci:web",
                Path.of("/store").toAbsolutePath(),
                Path.of("/run/web").toAbsolutePath(),
                List.of(),
                "",
                "",
                entrypoint,
                arguments,
                "",
                0,
                0,
                0,
                null,
                null,
                true,
                "",
                Map.of(),
                Map.of(),
                null);
        return ProcessPlan.of(request, image(imageCmd, imageEntrypoint, List.of(), ""), NO_USERS)
                .arguments();
    }

    private static BundleRequest request(String id, List<String> environment, String cwd, String hostname) {
        return new BundleRequest(
                id,
                "oci:web",
                Path.of("/store").toAbsolutePath(),
                Path.of("/run/web").toAbsolutePath(),
                environment,
                cwd,
                "",
                null,
                List.of(),
                hostname,
                0,
                0,
                0,
                null,
                null,
                true,
                "",
                Map.of(),
                Map.of(),
                null);
    }

    private static ImageConfig image(List<String> cmd, List<String> entrypoint, List<String> env, String workingDir) {
        return new ImageConfig(
                "linux",
                "amd64",
                List.of(),
                entrypoint,
                cmd,
                env,
                "",
                workingDir,
                "",
                List.of(),
                List.of(),
                Map.of(),
                "");
    }
}
