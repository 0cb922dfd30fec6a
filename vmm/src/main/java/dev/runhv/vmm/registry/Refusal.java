package dev.runhv.vmm.registry;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Json;
import java.io.IOException;
import java.io.InputStream;
import java.net.http.HttpResponse;
import java.util.List;

/** Why a registry does not do what it was asked, in its own words (OCI distribution 1.1, "Error Codes"). */
final class Refusal {
    private static final int BODY_BYTES = 1 << 16;
    private static final int SHOWN_CHARACTERS = 300;

    private Refusal() {}

    /** As the end of a sentence; empty where it says nothing that can be read. The body is used up. */
    static String words(HttpResponse<InputStream> response) throws IOException {
        boolean json = response.headers().firstValue("Content-Type").orElse("").startsWith("application/json");
        if (!json) {
            RegistryHost.discard(response);
            return "";
        }
        try (InputStream in = response.body()) {
            List<Json> errors = Json.parse(in.readNBytes(BODY_BYTES)).objects("errors");
            if (errors.isEmpty()) {
                return "";
            }
            String said = errors.getFirst().string("code", "")
                    + errors.getFirst().string("message", "").replaceFirst("^(?=.)", ", ");
            return ": " + said.substring(0, Math.min(said.length(), SHOWN_CHARACTERS));
        } catch (CorruptInputException e) {
            return "";
        }
    }
}
