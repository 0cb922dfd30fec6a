package dev.runhv.vmm.registry;

import dev.runhv.vmm.content.CorruptInputException;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;

/** hosts.toml: what it says can be asked, or it is refused. */
public final class HostsFuzz {
    private HostsFuzz() {}

    public static void fuzzerTestOneInput(byte[] data) throws IOException {
        List<Endpoint> endpoints;
        try {
            endpoints = HostFiles.parse(data, "quay.io", Path.of("/nonexistent"));
        } catch (CorruptInputException | NoSuchFileException e) {
            return;
        }
        for (Endpoint endpoint : endpoints) {
            boolean web = endpoint.base().getScheme().matches("https?");
            if (!web
                    || endpoint.base().getHost() == null
                    || !endpoint.base().getPath().endsWith("/")) {
                throw new AssertionError("Nobody can ask " + endpoint.base());
            }
        }
    }
}
