package dev.runhv.vmm.trust;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.registry.Reference;
import java.nio.charset.StandardCharsets;
import java.security.PublicKey;
import java.util.List;

/** A manifest of signatures, what is signed, a signature, a key: what nobody has signed is never accepted. */
public final class SignatureFuzz {
    private static final String KEY = """
            -----BEGIN PUBLIC KEY-----
            MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEITipVCwf2rQeQ2kYTHhA16NaQXtV
            03op6CA5V+4BP6MYQj0wPMNgLjEO8a1H/3wD2V1xYos1EjPeoPr234hSCw==
            -----END PUBLIC KEY-----
            """;
    private static final Reference IMAGE = Reference.parse("quay.io/a:1");

    private interface Parser {
        void parse(byte[] data) throws CorruptInputException;
    }

    private SignatureFuzz() {}

    public static void fuzzerTestOneInput(byte[] data) {
        parse(SignatureFuzz::requireBounds, data);
        parse(SigstorePayload::parse, data);
        parse(PublicKeys::parse, data);
        requireRefused(data, new String(data, StandardCharsets.ISO_8859_1));
        requireRefused(data, "MAYCAQECAQE=");
    }

    private static void parse(Parser parser, byte[] data) {
        try {
            parser.parse(data);
        } catch (CorruptInputException e) {
            return; // it is none of these
        }
    }

    private static void requireBounds(byte[] data) throws CorruptInputException {
        for (SignatureManifest.Entry entry : SignatureManifest.parse(data).entries()) {
            if (entry.size() < 0 || entry.size() > SignatureManifest.PAYLOAD_BYTES) {
                throw new AssertionError("A size without a bound");
            }
        }
    }

    private static void requireRefused(byte[] payload, String signature) {
        AttachedSignatures.Signed signed = new AttachedSignatures.Signed(payload, signature);
        SignedIdentity any = new SignedIdentity.MatchRepository();
        if (AttachedSignatures.refusal(signed, List.of(key()), any, IMAGE, Digest.sha256(payload))
                .isEmpty()) {
            throw new AssertionError("What nobody has signed is accepted");
        }
    }

    private static PublicKey key() {
        try {
            return PublicKeys.parse(KEY.getBytes(StandardCharsets.US_ASCII));
        } catch (CorruptInputException e) {
            throw new AssertionError(e);
        }
    }
}
