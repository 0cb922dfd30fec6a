package dev.runhv.vmm.registry;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** hosts.toml: what it says can be asked, or it is refused. */
public final class HostsFuzz {
    private HostsFuzz() {}

    public static void fuzzerTestOneInput(byte[] data) {
        List<Endpoint> endpoints;
        try {
            endpoints = HostFiles.parse(data, "quay.io", Path.of("/nonexistent"));
        } catch (IOException e) {
            return; // it is none, or names a file that cannot be read
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
