package dev.runhv.vmm.trust;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Failures;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Public keys as cosign writes them (RFC 7468 §13), ECDSA on a curve of the JDK's. */
final class PublicKeys {
    static final int BYTES = 1 << 16;

    private static final Pattern PEM =
            Pattern.compile("\\s*-----BEGIN PUBLIC KEY-----\\s([A-Za-z0-9+/=\\s]+)-----END PUBLIC KEY-----\\s*");

    private PublicKeys() {}

    /** @throws RunhvException where the file is no key, or cannot be read */
    static PublicKey read(Path file) {
        try (InputStream in = Files.newInputStream(file)) {
            return parse(in.readNBytes(BYTES));
        } catch (IOException e) {
            throw Failures.of("read the public key " + file, e);
        }
    }

    /** Of one key, and nothing else. */
    static PublicKey parse(byte[] pem) throws CorruptInputException {
        Matcher matcher = PEM.matcher(new String(pem, StandardCharsets.ISO_8859_1));
        if (!matcher.matches()) {
            throw new CorruptInputException("It is no public key: expected one -----BEGIN PUBLIC KEY-----");
        }
        try {
            byte[] der = Base64.getMimeDecoder().decode(matcher.group(1));
            return KeyFactory.getInstance("EC").generatePublic(new X509EncodedKeySpec(der));
        } catch (IllegalArgumentException | GeneralSecurityException e) {
            throw new CorruptInputException("It is no public key for ECDSA, as cosign makes them", e);
        }
    }

    /** @param signature ASN.1, or anything */
    static boolean verifies(PublicKey key, byte[] content, byte[] signature) {
        try {
            Signature verifier = Signature.getInstance("SHA256withECDSA");
            verifier.initVerify(key);
            verifier.update(content);
            return verifier.verify(signature);
        } catch (GeneralSecurityException e) {
            return false; // it is none
        }
    }
}
