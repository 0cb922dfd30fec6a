package dev.runhv.vmm.trust;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.registry.Reference;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SignaturePolicyTest {
    private static final String ACCEPT = "[{\"type\":\"insecureAcceptAnything\"}]";
    private static final String REJECT = "[{\"type\":\"reject\"}]";
    private static final Digest MANIFEST = Digest.sha256(new byte[0]);

    @TempDir
    Path folder;

    private static SignaturePolicy policy(String text) throws CorruptInputException {
        return SignaturePolicy.parse("here", text.getBytes(StandardCharsets.UTF_8));
    }

    private static Path write(Path file, String text) throws IOException {
        Files.createDirectories(file.getParent());
        return Files.writeString(file, text);
    }

    private static boolean rejects(SignaturePolicy policy, String image) throws Exception {
        try {
            policy.require(Reference.parse(image), MANIFEST);
            return false;
        } catch (RunhvException e) {
            assertThat(e.code()).isEqualTo(ErrorCode.ACCESS_DENIED);
            return true;
        }
    }

    @Test
    void scopesGoFromTheImageUpToItsHostAndThenToItsDomains() {
        assertThat(SignaturePolicy.scopes(Reference.parse("a.b.example:5000/x/y:1")))
                .containsExactly(
                        "a.b.example:5000/x/y:1",
                        "a.b.example:5000/x/y",
                        "a.b.example:5000/x",
                        "a.b.example:5000",
                        "*.b.example",
                        "*.example");
        assertThat(SignaturePolicy.scopes(Reference.parse("busybox")))
                .startsWith("docker.io/library/busybox:latest", "docker.io/library/busybox", "docker.io/library");
    }

    @ParameterizedTest
    @CsvSource({
        "docker.io/library/busybox:1, false",
        "docker.io/library/busybox:2, true",
        "docker.io/library/busybox2:1, true",
        "quay.io/a/b, true",
        "quay.io/a/c, false",
        "x.example.com/a, false",
        "x.y.example.com:5000/a, false",
        "example.com/a, true",
        "localhost:5000/a, true"
    })
    void theMostSpecificScopeCountsAlone(String image, boolean rejected) throws Exception {
        SignaturePolicy policy = policy("{\"default\":" + REJECT + ",\"transports\":{\"docker\":{"
                + "\"docker.io/library/busybox:1\":" + ACCEPT + ",\"docker.io/library/busybox\":" + REJECT
                + ",\"quay.io\":" + ACCEPT + ",\"quay.io/a/b\":" + REJECT + ",\"*.example.com\":" + ACCEPT + "}}}");
        assertThat(rejects(policy, image)).isEqualTo(rejected);
    }

    @Test
    void theDefaultOfATransportComesBeforeThatOfAll() throws Exception {
        assertThat(rejects(
                        policy("{\"default\":" + REJECT + ",\"transports\":{\"docker\":{\"\":" + ACCEPT + "}}}"), "a"))
                .isFalse();
        assertThat(rejects(
                        policy("{\"default\":" + ACCEPT + ",\"transports\":{\"docker\":{\"\":" + REJECT + "}}}"), "a"))
                .isTrue();
        assertThat(rejects(policy("{\"default\":" + ACCEPT + ",\"transports\":{\"oci\":{\"\":" + REJECT + "}}}"), "a"))
                .isFalse();
    }

    @Test
    void allRequirementsMustHold() throws Exception {
        String both = "[{\"type\":\"insecureAcceptAnything\"},{\"type\":\"reject\"}]";
        assertThat(rejects(policy("{\"default\":" + both + "}"), "a")).isTrue();
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "scopes of a policy are paths of Linux, and Wine makes no links")
    void filesHaveTheirFoldersForScopes() throws Exception {
        Path real = Files.createDirectories(folder.resolve("a/b")).toRealPath();
        Path link = Files.createSymbolicLink(folder.resolve("link"), real);
        SignaturePolicy policy = policy(
                "{\"default\":" + REJECT + ",\"transports\":{\"oci\":{\"" + real.getParent() + "\":" + ACCEPT + "}}}");
        policy.require("read", "oci", List.of(link));
        assertThatThrownBy(() -> policy.require("read", "oci", List.of(folder)))
                .isInstanceOf(RunhvException.class)
                .hasMessageContaining("rejects it");
        assertThatThrownBy(() -> policy.require("read", "docker-archive", List.of()))
                .isInstanceOf(RunhvException.class);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{\"type\":\"signedBy\",\"keyType\":\"GPGKeys\",\"keyPath\":\"/k\"}",
                "{\"type\":\"sigstoreSigned\",\"keyPath\":\"/k\",\"rekorPublicKeyPath\":\"/r\"}",
                "{\"type\":\"sigstoreSigned\",\"fulcio\":{\"caPath\":\"/c\"},\"rekorPublicKeyData\":\"\"}"
            })
    void whatIsNotVerifiedIsRefusedByItsNameWhereItIsAskedFor(String requirement) throws Exception {
        SignaturePolicy policy =
                policy("{\"default\":" + ACCEPT + ",\"transports\":{\"docker\":{\"quay.io\":[" + requirement + "]}}}");
        assertThat(rejects(policy, "docker.io/a/b")).isFalse();
        assertThatThrownBy(() -> policy.require(Reference.parse("quay.io/a"), MANIFEST))
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.UNSUPPORTED))
                .hasMessageMatching("(?s).*(signedBy|rekorPublicKeyPath|fulcio).*");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "[]",
                "{}",
                "{\"default\":[]}",
                "{\"default\":null}",
                "{\"default\":{\"type\":\"reject\"}}",
                "{\"default\":[{}]}",
                "{\"default\":[{\"type\":\"accept\"}]}",
                "{\"default\":[{\"Type\":\"reject\"}]}",
                "{\"default\":[{\"type\":\"reject\",\"keyPath\":\"/k\"}]}",
                "{\"default\":[{\"type\":\"reject\"}],\"default\":[{\"type\":\"insecureAcceptAnything\"}]}",
                "{\"default\":[{\"type\":\"reject\"}],\"transport\":{}}",
                "{\"default\":[{\"type\":\"reject\"}],\"transports\":{\"docker\":{\"quay.io\":[]}}}",
                "{\"default\":[{\"type\":\"reject\"}]} x",
                "{\"default\":[{\"type\":\"sigstoreSigned\"}]}",
                "{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPaths\":[]}]}",
                "{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"k\"}]}",
                "{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/k\",\"keyData\":\"\"}]}",
                "{\"default\":[{\"type\":\"sigstoreSigned\",\"keyData\":\"*\"}]}",
                "{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/k\",\"identity\":{}}]}",
                "{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/k\",\"signedIdentity\":{\"type\":\"any\"}}]}",
                "{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/k\",\"signedIdentity\":{\"type\":\"exactReference\","
                        + "\"dockerReference\":\"quay.io/a\"}}]}",
                "{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/k\",\"signedIdentity\":{\"type\":\"remapIdentity\","
                        + "\"prefix\":\"busybox\",\"signedPrefix\":\"quay.io\"}}]}"
            })
    void whatIsNoPolicyLetsNothingIn(String text) throws IOException {
        Path file = write(folder.resolve("policy.json"), text);
        assertThatThrownBy(() -> SignaturePolicy.find(Map.of("RUNHV_SIGNATURE_POLICY", file.toString()), folder))
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CORRUPT_INPUT))
                .hasMessageContaining(file.toString());
    }

    @Test
    void isLookedForWhereContainersLookForIt() throws Exception {
        Path host = write(folder.resolve("host/policy.json"), "{\"default\":" + ACCEPT + "}");
        Path home = folder.resolve("home");
        Map<String, String> environment = Map.of("HOME", home.toString());
        assertThat(rejects(SignaturePolicy.find(Map.of(), folder.resolve("nothing")), "a"))
                .isFalse();
        assertThat(rejects(SignaturePolicy.find(environment, host), "a")).isFalse();

        Path own = write(home.resolve(".config/containers/policy.json"), "{\"default\":" + REJECT + "}");
        assertThat(rejects(SignaturePolicy.find(environment, host), "a")).isTrue();
        assertThat(rejects(SignaturePolicy.find(Map.of(), host), "a")).isFalse();

        Files.writeString(own, "{");
        assertThatThrownBy(() -> SignaturePolicy.find(environment, host)).isInstanceOf(RunhvException.class);

        Files.delete(own);
        Files.createDirectory(own);
        assertThatThrownBy(() -> SignaturePolicy.find(environment, host)).isInstanceOf(RunhvException.class);
    }

    @Test
    void oneThatIsNamedMustBeThere() {
        String nothing = folder.resolve("nothing").toString();
        assertThatThrownBy(() -> SignaturePolicy.find(Map.of("RUNHV_SIGNATURE_POLICY", nothing), folder))
                .isInstanceOf(RunhvException.class)
                .hasMessageContaining(nothing);
        assertThatThrownBy(() -> SignaturePolicy.find(Map.of("RUNHV_SIGNATURE_POLICY", "policy.json"), folder))
                .isInstanceOf(RunhvException.class)
                .hasMessageContaining("absolute");
    }
}
