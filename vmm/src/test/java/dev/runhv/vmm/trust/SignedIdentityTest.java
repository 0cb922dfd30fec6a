package dev.runhv.vmm.trust;

import static org.assertj.core.api.Assertions.assertThat;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Json;
import dev.runhv.vmm.registry.Reference;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The verdicts are those of containers' own reader. */
class SignedIdentityTest {
    private static final String DIGEST = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    @ParameterizedTest
    @CsvSource({
        "matchExact, quay.io/a:1, quay.io/a:1, true",
        "matchExact, quay.io/a:1, quay.io/a:2, false",
        "matchExact, quay.io/a, quay.io/a, false",
        "matchExact, busybox, docker.io/library/busybox:latest, true",
        "matchExact, quay.io/a@, quay.io/a@, true",
        "matchExact, quay.io/a@, quay.io/a:1, false",
        "matchExact, quay.io/a:1, quay.io/a:1@, false",
        "matchRepoDigestOrExact, quay.io/a:1, quay.io/a:1, true",
        "matchRepoDigestOrExact, quay.io/a:1, quay.io/a:2, false",
        "matchRepoDigestOrExact, quay.io/a:1, quay.io/a, false",
        "matchRepoDigestOrExact, quay.io/a@, quay.io/a:2, true",
        "matchRepoDigestOrExact, quay.io/a@, quay.io/b:2, false",
        "matchRepoDigestOrExact, quay.io/a@, quay.io/a, false",
        "matchRepository, quay.io/a:1, quay.io/a, true",
        "matchRepository, quay.io/a:1, quay.io/a:2, true",
        "matchRepository, quay.io/a:1, quay.io/b:1, false",
        "matchRepository, quay.io/a:1, QUAY IO, false",
    })
    void namesAreTheSameOrNot(String type, String image, String signed, boolean accepted) throws CorruptInputException {
        assertThat(accepts("{\"type\":\"" + type + "\"}", image, signed)).isEqualTo(accepted);
    }

    @ParameterizedTest
    @CsvSource({"quay.io/real:1, true", "quay.io/real:2, false", "quay.io/real, false", "mirror.example/a:1, false"})
    void oneNameIsExpectedWhateverTheImageIsCalled(String signed, boolean accepted) throws CorruptInputException {
        String identity = "{\"type\":\"exactReference\",\"dockerReference\":\"quay.io/real:1\"}";
        assertThat(accepts(identity, "mirror.example/a:1", signed)).isEqualTo(accepted);
    }

    @ParameterizedTest
    @CsvSource({"quay.io/real:1, true", "quay.io/real, true", "quay.io/real2, false", "mirror.example/a:1, false"})
    void oneRepositoryIsExpectedWhateverTheImageIsCalled(String signed, boolean accepted) throws CorruptInputException {
        String identity = "{\"type\":\"exactRepository\",\"dockerRepository\":\"quay.io/real\"}";
        assertThat(accepts(identity, "mirror.example/a:1", signed)).isEqualTo(accepted);
    }

    @ParameterizedTest
    @CsvSource({
        "mirror.example/ns/a:1, quay.io/team/a:1, true",
        "mirror.example/ns/a:1, mirror.example/ns/a:1, false",
        "mirror.example/ns/a@, quay.io/team/a:7, true",
        "mirror.example/ns2/a:1, quay.io/team2/a:1, false",
        "mirror.example/ns2/a:1, mirror.example/ns2/a:1, true",
        "mirror.example/ns:1, quay.io/team:1, true",
    })
    void theBeginningOfANameStandsForAnother(String image, String signed, boolean accepted)
            throws CorruptInputException {
        String identity =
                "{\"type\":\"remapIdentity\",\"prefix\":\"mirror.example/ns\",\"signedPrefix\":\"quay.io/team\"}";
        assertThat(accepts(identity, image, signed)).isEqualTo(accepted);
    }

    private static boolean accepts(String identity, String image, String signed) throws CorruptInputException {
        return SignedIdentity.parse(Json.parse(identity.getBytes(StandardCharsets.UTF_8)))
                .accepts(Reference.parse(withDigest(image)), withDigest(signed));
    }

    private static String withDigest(String name) {
        return name.endsWith("@") ? name.replace("@", DIGEST) : name;
    }
}
