package dev.runhv.vmm.registry;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Json;
import java.io.IOException;
import java.util.Optional;

/** A file of credentials: what is kept in one that can be read is found again, and all else is refused. */
public final class AuthFileFuzz {
    private static final Credentials KEPT = new Credentials("me", "s:e c\u00e9");

    private AuthFileFuzz() {}

    public static void fuzzerTestOneInput(byte[] data) throws IOException {
        try {
            Json.parse(data);
            byte[] with = CredentialFiles.withAuth(data, "quay.io/me", KEPT);
            Optional<Credentials> found =
                    CredentialFiles.inFile(Json.parse(with).object("auths"), "quay.io", "me");
            if (!found.equals(Optional.of(KEPT))) {
                throw new AssertionError("What was kept is not found");
            }
            CredentialFiles.inFile(Json.parse(data).objectOrEmpty("auths"), "docker.io", "library/busybox");
        } catch (CorruptInputException e) {
            return;
        }
    }
}
