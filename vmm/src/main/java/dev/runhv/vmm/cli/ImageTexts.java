package dev.runhv.vmm.cli;

import dev.runhv.vmm.cli.RequestReader.Request;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.image.ImageConfig;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.store.Image;
import dev.runhv.vmm.store.ImageStore;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** What is printed of images, with docker's words for what docker prints as well. */
final class ImageTexts {
    private static final String NONE = "<none>";
    private static final int SHORT_ID = 12;
    /** Go's layout 2006-01-02 15:04:05 -0700 MST, of UTC. */
    private static final DateTimeFormatter CREATED_AT =
            DateTimeFormatter.ofPattern("uuuu-MM-dd HH:mm:ss '+0000 UTC'", Locale.ROOT);

    private final ImageStore store;
    private final InstantSource clock;

    ImageTexts(ImageStore store, InstantSource clock) {
        this.store = store;
        this.clock = clock;
    }

    /** Of {@code images [ls] [NAME[:TAG]]}: all, those with the name, or that with the tag. */
    String list(List<Image> images, Request.Image request) throws IOException {
        List<String> wanted = new ArrayList<>(request.arguments());
        if (!wanted.isEmpty() && wanted.getFirst().equals("ls")) {
            wanted.removeFirst();
        }
        if (wanted.size() > 1) {
            throw Failures.invalid("images", "One NAME at most; see runhv help images");
        }
        List<Image> listed = images.stream()
                .filter(image -> wanted.isEmpty() || isNamed(image.name(), wanted.getFirst()))
                .toList();
        if (request.has("json")) {
            return JsonText.of(objects(listed)) + "\n";
        }
        String columns = "table {{.Repository}}\t{{.Tag}}\t%s{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
                .formatted(request.has("digests") ? "{{.Digest}}\t" : "");
        String chosen = request.value("format").orElse(request.has("quiet") ? "{{.ID}}" : columns);
        Template template = Template.parse(chosen);
        return template.text(HEADINGS, rows(listed, template, request.has("no-trunc")));
    }

    private static final Map<String, String> HEADINGS = Map.of(
            "Repository",
            "REPOSITORY",
            "Tag",
            "TAG",
            "Digest",
            "DIGEST",
            "ID",
            "IMAGE ID",
            "CreatedSince",
            "CREATED",
            "CreatedAt",
            "CREATED AT",
            "Size",
            "SIZE");

    /** {@code busybox} means every tag of it, {@code busybox:1} that one. */
    private static boolean isNamed(Reference name, String wanted) {
        Reference other = Reference.parse(wanted);
        boolean tagged = wanted.lastIndexOf(':') > wanted.lastIndexOf('/') || wanted.contains("@");
        return tagged
                ? name.equals(other)
                : name.registry().equals(other.registry()) && name.repository().equals(other.repository());
    }

    /** With the fields that are asked for: some cost a look at files. */
    private List<Map<String, Object>> rows(List<Image> images, Template template, boolean whole) {
        boolean sized = template.asks("Size");
        boolean aged = template.asks("CreatedSince");
        boolean dated = template.asks("CreatedAt");
        List<Long> sizes = sized ? store.sizes(images) : List.of();
        List<Map<String, Object>> rows = new ArrayList<>();
        for (int i = 0; i < images.size(); i++) {
            Image image = images.get(i);
            Map<String, Object> row = new LinkedHashMap<>();
            row.put("Repository", image.name().familiarRepository());
            row.put("Tag", image.name().tag().isEmpty() ? NONE : image.name().tag());
            row.put("Digest", image.target().digest().toString());
            row.put("ID", whole ? image.id().toString() : shortId(image));
            if (dated) {
                row.put("CreatedAt", created(image).map(ImageTexts::at).orElse("N/A"));
            }
            if (aged) {
                row.put("CreatedSince", created(image).map(this::since).orElse("N/A"));
            }
            if (sized) {
                row.put("Size", size(sizes.get(i)));
            }
            rows.add(row);
        }
        return rows;
    }

    private List<Map<String, Object>> objects(List<Image> images) {
        List<Long> sizes = store.sizes(images);
        List<Map<String, Object>> objects = new ArrayList<>();
        for (int i = 0; i < images.size(); i++) {
            Image image = images.get(i);
            Map<String, Object> object = new LinkedHashMap<>();
            object.put("name", image.name().toString());
            object.put("id", image.id().toString());
            object.put("digest", image.target().digest().toString());
            created(image).ifPresent(created -> object.put("created", created.toString()));
            object.put("bytes", sizes.get(i));
            objects.add(object);
        }
        return objects;
    }

    static String shortId(Image image) {
        return image.id().hex().substring(0, SHORT_ID);
    }

    private static Optional<Instant> created(Image image) {
        return image.content()
                .flatMap(content -> ImageConfig.instant(content.config().created()));
    }

    private static String at(Instant created) {
        return CREATED_AT.format(created.atOffset(ZoneOffset.UTC));
    }

    /** In docker's words. */
    String since(Instant created) {
        Duration age = Duration.between(created, clock.instant());
        long hours = age.toHours();
        String text;
        if (age.toSeconds() < 1) {
            text = "Less than a second";
        } else if (age.toSeconds() == 1) {
            text = "1 second";
        } else if (age.toSeconds() < 60) {
            text = age.toSeconds() + " seconds";
        } else if (age.toMinutes() == 1) {
            text = "About a minute";
        } else if (age.toMinutes() < 60) {
            text = age.toMinutes() + " minutes";
        } else if (hours == 1) {
            text = "About an hour";
        } else if (hours < 48) {
            text = hours + " hours";
        } else if (hours < 24 * 7 * 2) {
            text = hours / 24 + " days";
        } else if (hours < 24 * 30 * 2) {
            text = hours / 24 / 7 + " weeks";
        } else if (hours < 24 * 365 * 2) {
            text = hours / 24 / 30 + " months";
        } else {
            text = hours / 24 / 365 + " years";
        }
        return text + " ago";
    }

    /** Three digits that count, in units of a thousand, as docker has it. */
    static String size(long bytes) {
        String[] units = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
        double value = bytes;
        int unit = 0;
        while (value >= 999.5 && unit < units.length - 1) {
            value /= 1000;
            unit++;
        }
        // Neither BigDecimal nor a format: to load what these need takes longer than all of a listing.
        long scale = unit == 0 || value >= 99.95 ? 1 : value >= 9.995 ? 10 : 100;
        long rounded = Math.round(value * scale);
        String fraction = Long.toString(scale + rounded % scale).substring(1);
        while (fraction.endsWith("0")) {
            fraction = fraction.substring(0, fraction.length() - 1);
        }
        return rounded / scale + (fraction.isEmpty() ? "" : "." + fraction) + units[unit];
    }
}
