package dev.runhv.vmm.registry;

import java.nio.charset.StandardCharsets;
import java.util.Base64;

/**
 * Who asks a registry.
 *
 * @param user {@link #TOKEN} where the secret is an identity token
 */
public record Credentials(String user, String secret) {
    /** What docker and its helpers call the user of an identity token. */
    static final String TOKEN = "<token>";

    boolean isIdentityToken() {
        return user.equals(TOKEN);
    }

    /** {@code user:secret} in base64 (RFC 7617 §2). */
    String encoded() {
        return Base64.getEncoder().encodeToString((user + ":" + secret).getBytes(StandardCharsets.UTF_8));
    }

    /** Without the secret: this may come into a message. */
    @Override
    public String toString() {
        return user;
    }
}
