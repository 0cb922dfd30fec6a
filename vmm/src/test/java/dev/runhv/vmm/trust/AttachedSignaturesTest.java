package dev.runhv.vmm.trust;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.trust.AttachedSignatures.Signed;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PublicKey;
import java.security.Signature;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AttachedSignaturesTest {
    private static final Reference IMAGE = Reference.parse("quay.io/a:1");
    private static final Digest MANIFEST = Digest.sha256(new byte[] {1});
    private static final SignedIdentity IDENTITY = new SignedIdentity.MatchRepoDigestOrExact();

    private final KeyPair key = newKey();

    private static KeyPair newKey() {
        try {
            KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
            generator.initialize(256);
            return generator.generateKeyPair();
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    private static String payload(String type, Digest manifest, String name) {
        return "{\"critical\":{\"identity\":{\"docker-reference\":\"%s\"},\"image\":{\"docker-manifest-digest\":\"%s\"},\"type\":\"%s\"},\"optional\":null}"
                .formatted(name, manifest, type);
    }

    private static String payload() {
        return payload("cosign container image signature", MANIFEST, "quay.io/a:1");
    }

    private Signed signed(String payload) throws GeneralSecurityException {
        byte[] text = payload.getBytes(StandardCharsets.UTF_8);
        Signature signer = Signature.getInstance("SHA256withECDSA");
        signer.initSign(key.getPrivate());
        signer.update(text);
        return new Signed(text, Base64.getEncoder().encodeToString(signer.sign()));
    }

    private Optional<String> refusal(Signed signed, PublicKey... keys) {
        return AttachedSignatures.refusal(signed, List.of(keys), IDENTITY, IMAGE, MANIFEST);
    }

    @Test
    void oneOfTheKeysIsEnough() throws GeneralSecurityException {
        assertThat(refusal(signed(payload()), newKey().getPublic(), key.getPublic()))
                .isEmpty();
    }

    @Test
    void anotherKeyOrAnotherTextIsRefused() throws GeneralSecurityException {
        Signed good = signed(payload());
        assertThat(refusal(good, newKey().getPublic()))
                .hasValueSatisfying(why -> assertThat(why).contains("another key"));
        byte[] changed = good.payload().clone();
        changed[changed.length - 1] = ' ';
        assertThat(refusal(new Signed(changed, good.signature()), key.getPublic()))
                .isPresent();
        assertThat(refusal(new Signed(good.payload(), "AAAA"), key.getPublic())).isPresent();
        assertThat(refusal(new Signed(good.payload(), "not base64"), key.getPublic()))
                .isPresent();
        assertThat(refusal(good)).isPresent();
    }

    @Test
    void anotherManifestNameOrTypeIsRefused() throws GeneralSecurityException {
        String type = "cosign container image signature";
        Digest other = Digest.sha256(new byte[] {2});
        assertThat(refusal(signed(payload(type, other, "quay.io/a:1")), key.getPublic()))
                .hasValueSatisfying(why -> assertThat(why).contains(other.toString()));
        assertThat(refusal(signed(payload(type, MANIFEST, "quay.io/a:2")), key.getPublic()))
                .hasValueSatisfying(why -> assertThat(why).contains("quay.io/a:2"));
        assertThat(refusal(signed(payload("atomic container signature", MANIFEST, "quay.io/a:1")), key.getPublic()))
                .hasValueSatisfying(why -> assertThat(why).contains("no signature of an image"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"{}", "", "{\"critical\":{},\"optional\":null}"})
    void whatIsSignedAndNoSignatureIsRefused(String text) throws GeneralSecurityException {
        assertThat(refusal(signed(text), key.getPublic())).isPresent();
    }

    @Test
    void moreThanASignatureSaysIsRefused() throws GeneralSecurityException {
        String more = payload().replace("\"optional\"", "\"more\":1,\"optional\"");
        assertThat(refusal(signed(more), key.getPublic()))
                .hasValueSatisfying(why -> assertThat(why).contains("more: unknown member"));
    }

    @Test
    void keysAreThoseThatCosignWrites() throws CorruptInputException {
        String der = Base64.getMimeEncoder(64, new byte[] {'\n'})
                .encodeToString(key.getPublic().getEncoded());
        String pem = "-----BEGIN PUBLIC KEY-----\n" + der + "\n-----END PUBLIC KEY-----\n";
        assertThat(PublicKeys.parse(pem.getBytes(StandardCharsets.US_ASCII))).isEqualTo(key.getPublic());
        for (String none : List.of("", der, pem + pem, pem.replace("PUBLIC", "PRIVATE"), pem.replace("M", "-"))) {
            assertThatThrownBy(() -> PublicKeys.parse(none.getBytes(StandardCharsets.US_ASCII)))
                    .isInstanceOf(CorruptInputException.class);
        }
    }

    @Test
    void aManifestOfSignaturesHasBounds() throws CorruptInputException {
        String entry = ("{\"mediaType\":\"application/vnd.dev.cosign.simplesigning.v1+json\",\"digest\":\"" + MANIFEST
                + "\",\"size\":%d,\"annotations\":{\"dev.cosignproject.cosign/signature\":\"AAAA\"}}");
        assertThat(manifest(List.of(entry.formatted(7), "{\"mediaType\":\"text/plain\",\"size\":-1}"))
                        .entries())
                .containsExactly(new SignatureManifest.Entry(MANIFEST, 7, "AAAA"));
        assertThatThrownBy(() -> manifest(List.of(entry.formatted(SignatureManifest.PAYLOAD_BYTES + 1))))
                .isInstanceOf(CorruptInputException.class);
        assertThatThrownBy(() -> manifest(List.of(entry.formatted(-1)))).isInstanceOf(CorruptInputException.class);
        assertThatThrownBy(() -> manifest(Collections.nCopies(SignatureManifest.ENTRIES + 1, entry.formatted(1))))
                .isInstanceOf(CorruptInputException.class);
    }

    private static SignatureManifest manifest(List<String> layers) throws CorruptInputException {
        return SignatureManifest.parse(
                ("{\"layers\":[" + String.join(",", layers) + "]}").getBytes(StandardCharsets.UTF_8));
    }
}
