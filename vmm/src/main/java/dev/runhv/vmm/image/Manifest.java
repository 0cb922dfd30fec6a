package dev.runhv.vmm.image;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Json;
import java.util.ArrayList;
import java.util.List;

/** The configuration and the layers of one image, lowest layer first. */
record Manifest(Descriptor config, List<Descriptor> layers) {
    static Manifest parse(byte[] text) throws CorruptInputException {
        Json json = Json.parse(text);
        // Two readers could take such a document for two different images (CVE-2021-41190).
        if (json.has("manifests")) {
            throw new CorruptInputException("It has both layers and manifests: it could be an image or an index");
        }
        if (json.has("schemaVersion") && json.number("schemaVersion") != 2) {
            throw new CorruptInputException("It has the schema version " + json.number("schemaVersion")
                    + "; only 2 can be read: push or save the image again with a current tool");
        }
        String mediaType = json.string("mediaType", "");
        if (!mediaType.isEmpty() && MediaType.of(mediaType) != MediaType.MANIFEST) {
            throw new CorruptInputException("It says that it is " + mediaType + ", not an image manifest");
        }
        List<Json> entries = json.objects("layers");
        if (entries.size() > ImageLimits.LAYERS) {
            throw new CorruptInputException(
                    "It has %d layers, more than %d".formatted(entries.size(), ImageLimits.LAYERS));
        }
        List<Descriptor> layers = new ArrayList<>();
        for (Json entry : entries) {
            layers.add(Descriptor.from(entry));
        }
        return new Manifest(Descriptor.from(json.object("config")), List.copyOf(layers));
    }
}
