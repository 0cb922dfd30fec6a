package dev.runhv.vmm.cli;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import dev.runhv.vmm.cli.RequestReader.Request;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Json;
import dev.runhv.vmm.image.ImageConfig;
import dev.runhv.vmm.image.Platform;
import dev.runhv.vmm.image.StoredImage;
import dev.runhv.vmm.store.Image;
import dev.runhv.vmm.store.ImageStore;
import java.io.IOException;
import java.io.StringWriter;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** What is printed of one image, and of the store as a whole. */
final class ImageDocuments {
    private static final int SHOWN_COMMAND = 45;

    private final ImageStore store;

    ImageDocuments(ImageStore store) {
        this.store = store;
    }

    /** An array with docker's members of each image, or a line for each by a template. */
    String inspect(Request.Image request) throws IOException {
        List<Map<String, Object>> objects = new ArrayList<>();
        Optional<Platform> platform = request.value("platform").map(Platform::parse);
        ImageStore.Listing listing = store.list();
        for (String text : request.arguments()) {
            Image image = listing.find(text).getFirst();
            StoredImage content = platform.isPresent() ? store.read(image, platform.get()) : image.readable();
            objects.add(object(listing, image, content));
        }
        Optional<String> format = request.value("format");
        if (format.isPresent()) {
            return Template.parse(format.get()).text(Map.of(), objects);
        }
        StringWriter text = new StringWriter();
        try (JsonGenerator json =
                new JsonFactory().createGenerator(text).setPrettyPrinter(new DefaultPrettyPrinter())) {
            JsonText.write(json, objects);
        }
        return text + "\n";
    }

    private Map<String, Object> object(ImageStore.Listing listing, Image image, StoredImage content)
            throws IOException {
        Json config = Json.parse(content.configText());
        Map<String, Object> object = new LinkedHashMap<>();
        object.put("Id", content.id().toString());
        List<String> tags = new ArrayList<>();
        List<String> digests = new ArrayList<>();
        for (Image named : listing.find(image.id().toString())) {
            if (named.name().digest().isEmpty()) {
                tags.add(named.name().familiar());
            }
            String digest =
                    named.name().familiarRepository() + "@" + named.target().digest();
            if (!digests.contains(digest)) {
                digests.add(digest);
            }
        }
        object.put("RepoTags", tags);
        object.put("RepoDigests", digests);
        object.put("Created", config.string("created", ""));
        object.put("Author", config.string("author", ""));
        object.put("Architecture", config.string("architecture", ""));
        object.put("Os", config.string("os", ""));
        object.put("Size", store.size(image));
        object.put("Config", config.objectOrEmpty("config").members());
        object.put(
                "RootFS",
                Map.of(
                        "Type",
                        "layers",
                        "Layers",
                        content.config().diffIds().stream()
                                .map(Digest::toString)
                                .toList()));
        Map<String, Object> descriptor = new LinkedHashMap<>();
        descriptor.put("mediaType", image.target().mediaType());
        descriptor.put("digest", image.target().digest().toString());
        descriptor.put("size", image.target().size());
        object.put("Descriptor", descriptor);
        return object;
    }

    private static final Map<String, String> HISTORY =
            Map.of("ID", "IMAGE", "CreatedSince", "CREATED", "CreatedAt", "CREATED AT", "CreatedBy", "CREATED BY");

    /** Newest first. */
    String history(Request.Image request, InstantSource clock) throws IOException {
        Image image = store.find(request.arguments().getFirst()).getFirst();
        StoredImage content = image.readable();
        ImageTexts texts = new ImageTexts(store, clock);
        boolean whole = request.has("no-trunc");
        List<Map<String, Object>> rows = new ArrayList<>();
        int layer = 0;
        for (Json step : Json.parse(content.configText()).objects("history")) {
            boolean empty = step.is("empty_layer");
            Optional<Long> size = empty || layer >= content.config().diffIds().size()
                    ? Optional.of(0L)
                    : store.layerSize(content.config().diffIds().get(layer));
            layer += empty ? 0 : 1;
            Optional<Instant> created = ImageConfig.instant(step.string("created", ""));
            String command = step.string("created_by", "").replaceAll("\\s+", " ");
            Map<String, Object> row = new LinkedHashMap<>();
            row.put("ID", "<missing>");
            row.put("CreatedAt", created.map(Instant::toString).orElse("N/A"));
            row.put("CreatedSince", created.map(texts::since).orElse("N/A"));
            row.put(
                    "CreatedBy",
                    whole || command.length() <= SHOWN_COMMAND
                            ? command
                            : command.substring(0, SHOWN_COMMAND - 1) + "…");
            row.put("Size", size.map(ImageTexts::size).orElse("N/A"));
            row.put("Comment", step.string("comment", ""));
            rows.addFirst(row);
        }
        if (!rows.isEmpty()) {
            rows.getFirst().put("ID", whole ? image.id().toString() : ImageTexts.shortId(image));
        }
        String table = "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
        return Template.parse(request.value("format").orElse(table)).text(HISTORY, rows);
    }

    /** A line for each kind of file. */
    String df(Request.Image request) throws IOException {
        List<Map<String, Object>> rows = new ArrayList<>();
        store.usage().forEach((kind, usage) -> {
            Map<String, Object> row = new LinkedHashMap<>();
            row.put("Type", kind);
            row.put("TotalCount", Integer.toString(usage.files()));
            row.put("Active", Integer.toString(usage.needed()));
            row.put("Size", ImageTexts.size(usage.bytes()));
            row.put("Reclaimable", ImageTexts.size(usage.reclaimableBytes()));
            rows.add(row);
        });
        String table = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
        return Template.parse(request.value("format").orElse(table)).text(Map.of("TotalCount", "TOTAL"), rows);
    }
}
