package dev.runhv.vmm.registry;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.testing.NtfsRules;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class CredentialFilesTest {
    private static final String ME = "\"auth\":\"bWU6c2VjcmV0\""; // me:secret

    @TempDir
    Path home;

    private Map<String, String> environment;

    @BeforeEach
    void settings() {
        environment = Map.of("HOME", home.toString(), "PATH", home + ":" + System.getenv("PATH"));
    }

    private CredentialFiles files() {
        return new CredentialFiles(environment);
    }

    private Path write(String file, String text) throws IOException {
        Path path = home.resolve(file);
        Files.createDirectories(path.getParent());
        return Files.writeString(path, text);
    }

    private void helper(String name, String script) throws IOException {
        Path program = write("docker-credential-" + name, "#!/bin/sh\n" + script);
        Files.setPosixFilePermissions(program, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    @Test
    void findsWhatDockerKeeps() throws Exception {
        write(
                ".docker/config.json",
                "{\"auths\":{\"https://index.docker.io/v1/\":{" + ME + "},\"quay.io\":{},\"bad\":{\"auth\":\"?\"}}}");
        assertThat(files().find("docker.io", "library/busybox")).contains(new Credentials("me", "secret"));
        assertThat(files().find("quay.io", "a/b")).isEmpty();
        assertThat(files().find("docker.io.evil.com", "a")).isEmpty();
        assertThatThrownBy(() -> files().find("bad", ""))
                .isInstanceOf(RunhvException.class)
                .hasMessageContaining("config.json")
                .hasMessageContaining("not in base64");
    }

    @Test
    void findsWhatPodmanKeepsByTheLongestName() throws Exception {
        write(
                ".config/containers/auth.json",
                "{\"auths\":{\"quay.io\":{\"auth\":\"YTpi\"},\"quay.io/team\":{" + ME + "}}}");
        assertThat(files().find("quay.io", "team/app")).contains(new Credentials("me", "secret"));
        assertThat(files().find("quay.io", "teams/app")).contains(new Credentials("a", "b"));
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "the helper is a shell of Linux")
    void asksTheHelperOfTheRegistry() throws Exception {
        write(
                ".docker/config.json",
                "{\"credsStore\":\"none\",\"credHelpers\":{\"quay.io\":\"one\"},\"auths\":{\"ghcr.io\":{" + ME + "}}}");
        helper("one", "read server; echo \"{\\\"Username\\\":\\\"<token>\\\",\\\"Secret\\\":\\\"for $server\\\"}\"\n");
        helper("none", "echo credentials not found in native keychain; exit 1\n");
        assertThat(files().find("quay.io", "a").orElseThrow().isIdentityToken()).isTrue();
        assertThat(files().find("quay.io", "a").orElseThrow().secret()).isEqualTo("for quay.io");
        assertThat(files().find("ghcr.io", "a")).contains(new Credentials("me", "secret"));
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "the helper is a shell of Linux")
    void helperThatMisbehavesIsNamed() throws Exception {
        helper("locked", "echo it is locked; exit 3\n");
        helper("endless", "exec yes\n");
        helper("hanging", "sleep 600 & wait\n");
        helper("mumbling", "echo hm\n");
        refuses("locked", "ends with status 3: it is locked");
        refuses("endless", "says more than");
        refuses("hanging", "has not answered after 500 ms");
        refuses("mumbling", "cannot be read");
        refuses("absent", "cannot be started");
        assertThatThrownBy(() -> new CredentialHelper("../evil", environment, Duration.ZERO))
                .hasMessageContaining("is no name of a credential helper");
    }

    private void refuses(String name, String words) {
        CredentialHelper helper = new CredentialHelper(name, environment, Duration.ofMillis(500));
        assertThatThrownBy(() -> helper.get("quay.io"))
                .isInstanceOf(RunhvException.class)
                .hasMessageContaining("docker-credential-" + name)
                .hasMessageContaining(words);
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "it looks at a link and at the modes of Linux")
    void storesAndErasesAndLeavesTheRest() throws Exception {
        Path real = write(
                "elsewhere/docker.json", "{\"a\":[1.50,null],\"auths\":{\"quay.io\":{" + ME + "}},\"z\":{\"b\":true}}");
        Path file = Files.createDirectories(home.resolve(".docker")).resolve("config.json");
        Files.createSymbolicLink(file, real);
        assertThat(files().store("docker.io", new Credentials("me", "p:w"))).isEqualTo(file.toString());
        assertThat(files().find("docker.io", "")).contains(new Credentials("me", "p:w"));
        assertThat(Files.isSymbolicLink(file)).isTrue();
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(real)))
                .isEqualTo("rw-------");
        files().erase("docker.io");
        assertThat(files().find("docker.io", "")).isEmpty();
        assertThat(Files.readString(real).replaceAll("\\s", ""))
                .isEqualTo("{\"a\":[1.50,null],\"auths\":{\"quay.io\":{" + ME + "}},\"z\":{\"b\":true}}");
        assertThat(home.resolve("elsewhere")).isDirectoryContaining("glob:**/docker.json");
        try (var left = Files.list(home.resolve("elsewhere"))) {
            assertThat(left).hasSize(1);
        }
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "the helper is a shell of Linux")
    void storesWithTheHelper() throws Exception {
        write(".docker/config.json", "{\"credsStore\":\"keep\"}");
        helper("keep", "cat > '" + home + "'/$1\n");
        assertThat(files().store("quay.io", new Credentials("me", "secret"))).isEqualTo("docker-credential-keep");
        assertThat(home.resolve("store"))
                .hasContent("{\"ServerURL\":\"quay.io\",\"Username\":\"me\",\"Secret\":\"secret\"}");
        files().erase("quay.io");
        assertThat(home.resolve("erase")).hasContent("quay.io");
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "it is for hosts with other rules than Windows'")
    void whatWasToBeKeptGoesWhenWhoHasItLetsGoTooLate() throws Exception {
        NtfsRules ntfs = new NtfsRules(home);
        Path file = Files.writeString(ntfs.path("/auth.json"), "{}");
        ntfs.hold(".tmp");
        ntfs.onRefusal(() -> {
            if (ntfs.refusals() == 25) { // more than one operation tries again, and fewer than two do
                ntfs.hold(null);
            }
        });

        assertThatThrownBy(() -> CredentialFiles.replaceAuth(file, "quay.io", new Credentials("me", "secret")))
                .isInstanceOf(RunhvException.class)
                .hasRootCauseInstanceOf(AccessDeniedException.class);

        assertThat(ntfs.refusals()).isEqualTo(25);
        try (Stream<Path> files = Files.list(home)) {
            assertThat(files).containsExactly(home.resolve("auth.json"));
        }
        assertThat(file).hasContent("{}");
    }
}
