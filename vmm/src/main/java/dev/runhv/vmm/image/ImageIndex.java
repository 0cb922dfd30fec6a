package dev.runhv.vmm.image;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Json;
import java.util.ArrayList;
import java.util.List;

/** A list of manifests, one for each platform, or for each tag at the top of a layout. */
record ImageIndex(List<Descriptor> manifests) {
    static ImageIndex parse(byte[] text) throws CorruptInputException {
        Json json = Json.parse(text);
        // Two readers could take such a document for two different images (CVE-2021-41190).
        if (json.has("layers") || json.has("config")) {
            throw new CorruptInputException("It has both manifests and layers: it could be an index or an image");
        }
        String mediaType = json.string("mediaType", "");
        if (!mediaType.isEmpty() && MediaType.of(mediaType) != MediaType.INDEX) {
            throw new CorruptInputException("It says that it is " + mediaType + ", not an image index");
        }
        List<Json> entries = json.objects("manifests");
        if (entries.size() > ImageLimits.MANIFESTS_OF_AN_INDEX) {
            throw new CorruptInputException(
                    "It lists %d manifests, more than %d".formatted(entries.size(), ImageLimits.MANIFESTS_OF_AN_INDEX));
        }
        List<Descriptor> manifests = new ArrayList<>();
        for (Json entry : entries) {
            manifests.add(Descriptor.from(entry));
        }
        return new ImageIndex(List.copyOf(manifests));
    }
}
