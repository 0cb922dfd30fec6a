package dev.runhv.vmm.image;

import dev.runhv.api.RunhvException;
import java.nio.charset.StandardCharsets;

/** What a user types: it is read or refused, and what is read is written so that it is read again. */
public final class ReferenceFuzz {
    private ReferenceFuzz() {}

    public static void fuzzerTestOneInput(byte[] data) {
        ImageReference reference;
        try {
            reference = ImageReference.parse(new String(data, StandardCharsets.UTF_8));
        } catch (RunhvException e) {
            return;
        }
        if (!ImageReference.parse(reference.toString()).equals(reference)) {
            throw new AssertionError(reference + " is read as something else");
        }
    }
}
