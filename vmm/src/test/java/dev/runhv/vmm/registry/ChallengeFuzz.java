package dev.runhv.vmm.registry;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;

/** {@code WWW-Authenticate}: what can be read of it is of the form that it is taken for. */
public final class ChallengeFuzz {
    private ChallengeFuzz() {}

    public static void fuzzerTestOneInput(byte[] data) {
        String text = new String(data, StandardCharsets.ISO_8859_1);
        for (Challenge challenge : Challenge.parse(List.of(text, "Bearer realm=\"last\""))) {
            require(!challenge.scheme().isEmpty());
            require(challenge.scheme().equals(challenge.scheme().toLowerCase(Locale.ROOT)));
            challenge.parameters().keySet().forEach(name -> require(name.equals(name.toLowerCase(Locale.ROOT))));
        }
        List<Challenge> all = Challenge.parse(List.of(text, "Bearer realm=\"last\""));
        // Nothing in one value of the header reaches into the next.
        require(all.getLast().scheme().equals("bearer"));
        require(all.getLast().parameter("realm").equals("last"));
    }

    private static void require(boolean holds) {
        if (!holds) {
            throw new AssertionError("A challenge is not as it is taken for");
        }
    }
}
