package dev.runhv.vmm.image;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.VerifyingInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** Reads the OCI image layout (OCI image 1.1 image-layout.md). */
final class OciReader {
    static final String CONTAINERD_NAME = "io.containerd.image.name";

    private final String operation;
    private final ImageFiles files;
    private final Platform wanted;
    private final Documents documents;

    OciReader(String operation, ImageFiles files) {
        this(operation, files, Platform.HERE);
    }

    OciReader(String operation, ImageFiles files, Platform wanted) {
        this(operation, files, wanted, new Documents(0));
    }

    /** @param documents that need not be read once more where their files are there */
    OciReader(String operation, ImageFiles files, Platform wanted, Documents documents) {
        this.operation = operation;
        this.files = files;
        this.wanted = wanted;
        this.documents = documents;
    }

    /** An image without its layers. */
    record Resolved(Descriptor manifest, Manifest image, ImageConfig config, byte[] configText) {}

    private record Configuration(ImageConfig config, byte[] text) {}

    ImageSource.Contents read(String tag) throws IOException {
        Resolved found = resolve(tag);
        Manifest image = found.image;
        ImageContents.requireFit(operation, wanted, found.config, image.layers().size());
        for (int index = 0; index < image.layers().size(); index++) {
            requireLayer(image, index);
        }
        files.expect(image.layers());
        return ImageContents.checked(
                operation,
                wanted,
                found.config,
                found.configText,
                image.layers().size(),
                index -> layer(image, found.config, index));
    }

    Resolved resolve(String tag) throws IOException {
        return resolve(tagged(top(), tag));
    }

    /** The one of the candidates that is wanted. */
    Resolved resolve(List<Descriptor> candidates) throws IOException {
        Descriptor manifest = forPlatform(candidates, 1);
        files.chosen(manifest);
        Manifest image = document("manifest", manifest, ImageLimits.MANIFEST_BYTES, Manifest.class, Manifest::parse);
        if (image.config().type() != MediaType.CONFIG) {
            throw Failures.unsupported(
                    operation,
                    "It is not a container image: its configuration has the unknown media type \""
                            + image.config().mediaType() + "\"");
        }
        Configuration configuration = document(
                "configuration",
                image.config(),
                ImageLimits.CONFIG_BYTES,
                Configuration.class,
                text -> new Configuration(ImageConfig.parse(text), text));
        return new Resolved(manifest, image, configuration.config, configuration.text);
    }

    private <T> T document(String what, Descriptor descriptor, int limit, Class<T> type, Documents.Parser<T> parser)
            throws IOException {
        return parsed(what + " " + descriptor.digest(), () -> {
            requireSmall(what, descriptor, limit);
            return documents.get(type, descriptor, () -> parser.parse(text(what, descriptor)));
        });
    }

    /** All that the layout holds. */
    ImageIndex top() throws IOException {
        if (files.size("index.json") < 0) {
            throw Failures.corrupt(operation, "Not an OCI image layout: it has no index.json");
        }
        return parsed("index.json", () -> ImageIndex.parse(files.read("index.json", ImageLimits.MANIFEST_BYTES)));
    }

    private void requireLayer(Manifest image, int index) {
        Descriptor descriptor = image.layers().get(index);
        if (descriptor.mediaType().endsWith("+encrypted")) {
            throw Failures.unsupported(
                    operation,
                    "Layer %d is encrypted (%s), which is not read here".formatted(index + 1, descriptor.mediaType()));
        }
        if (descriptor.type() == MediaType.FOREIGN_LAYER) {
            throw Failures.unsupported(
                    operation,
                    "Layer %d is a foreign one (%s), which is had from its vendor only; ask for an image that is built anew without it"
                            .formatted(index + 1, descriptor.mediaType()));
        }
        if (descriptor.type() != MediaType.LAYER) {
            throw Failures.unsupported(
                    operation,
                    "Layer %d has the unknown media type \"%s\"".formatted(index + 1, descriptor.mediaType()));
        }
    }

    private Layer layer(Manifest image, ImageConfig config, int index) throws IOException {
        Descriptor descriptor = image.layers().get(index);
        if (!files.areLayersToCome()) {
            requireSize("layer", descriptor);
        }
        return new Layer(
                "layer " + descriptor.digest(), config.diffIds().get(index), descriptor.size(), new Layer.Stored() {
                    @Override
                    public InputStream open() throws IOException {
                        Optional<InputStream> incoming = files.incoming(descriptor);
                        return incoming.isPresent() ? incoming.get() : OciReader.this.open("layer", descriptor);
                    }

                    @Override
                    public boolean keep() throws IOException {
                        return files.keep(descriptor);
                    }
                });
    }

    private List<Descriptor> tagged(ImageIndex index, String tag) {
        if (tag.isEmpty()) {
            return index.manifests();
        }
        List<Descriptor> found = new ArrayList<>();
        for (Descriptor entry : index.manifests()) {
            if (tag.equals(entry.refName()) || tag.equals(entry.annotations().get(CONTAINERD_NAME))) {
                found.add(entry);
            }
        }
        if (found.isEmpty()) {
            throw Failures.notFound(operation, "No such tag: " + tag + "; " + tags(index));
        }
        return found;
    }

    private static String tags(ImageIndex index) {
        List<String> tags = new ArrayList<>();
        for (Descriptor entry : index.manifests()) {
            if (!entry.refName().isEmpty() && !tags.contains(entry.refName())) {
                tags.add(entry.refName());
            }
        }
        return tags.isEmpty() ? "the image has no tags" : "there is " + String.join(", ", tags);
    }

    /** The one manifest among the candidates that is wanted; goes down nested indexes. */
    private Descriptor forPlatform(List<Descriptor> candidates, int depth) throws IOException {
        List<Descriptor> fitting = new ArrayList<>();
        List<String> others = new ArrayList<>();
        for (Descriptor candidate : candidates) {
            Platform platform = candidate.platform();
            if (platform.isUnknown()) {
                continue;
            }
            if (platform.distanceFrom(wanted) >= 0) {
                fitting.add(candidate);
            } else {
                others.add(platform.toString());
            }
        }
        if (fitting.isEmpty()) {
            throw Failures.unsupported(
                    operation,
                    others.isEmpty()
                            ? "The index lists no image"
                            : "It has no image for " + wanted + ", only for " + String.join(", ", others));
        }
        Descriptor chosen = best(fitting, depth);
        return switch (chosen.type()) {
            case MANIFEST -> chosen;
            case INDEX -> {
                if (depth == ImageLimits.INDEX_DEPTH) {
                    throw Failures.corrupt(
                            operation, "Its indexes are nested more than %d deep".formatted(ImageLimits.INDEX_DEPTH));
                }
                ImageIndex nested =
                        document("index", chosen, ImageLimits.MANIFEST_BYTES, ImageIndex.class, ImageIndex::parse);
                yield forPlatform(nested.manifests(), depth + 1);
            }
            case SCHEMA1 ->
                throw Failures.unsupported(
                        operation,
                        "It is in Docker's image format of before 2017 (schema 1): push or save it again with a"
                                + " current tool");
            case CONFIG, LAYER, FOREIGN_LAYER, UNKNOWN ->
                throw Failures.unsupported(
                        operation, "The manifest has the unknown media type \"" + chosen.mediaType() + "\"");
        };
    }

    private Descriptor best(List<Descriptor> fitting, int depth) {
        Descriptor best = fitting.getFirst();
        boolean ambiguous = false;
        for (Descriptor candidate : fitting.subList(1, fitting.size())) {
            int difference = Integer.compare(
                    candidate.platform().distanceFrom(wanted), best.platform().distanceFrom(wanted));
            if (difference < 0) {
                best = candidate;
                ambiguous = false;
            } else if (difference == 0 && !candidate.digest().equals(best.digest())) {
                // Two tags of one layout; in an index of platforms the first of two equal ones is as good.
                ambiguous |= depth == 1;
            }
        }
        if (ambiguous) {
            throw Failures.invalid(operation, "It holds several images: name one; " + tags(new ImageIndex(fitting)));
        }
        return best;
    }

    byte[] blob(String what, Descriptor descriptor, int limit) throws IOException {
        requireSmall(what, descriptor, limit);
        return text(what, descriptor);
    }

    private void requireSmall(String what, Descriptor descriptor, int limit) throws IOException {
        if (descriptor.size() > limit) {
            throw new CorruptInputException("It has %d bytes, more than %d".formatted(descriptor.size(), limit));
        }
        requireSize(what, descriptor);
    }

    private byte[] text(String what, Descriptor descriptor) throws IOException {
        try (InputStream in = open(what, descriptor)) {
            return in.readAllBytes();
        }
    }

    InputStream open(String what, Descriptor descriptor) throws IOException {
        return new VerifyingInputStream(
                files.open(path(descriptor.digest())),
                what + " " + descriptor.digest(),
                descriptor.digest(),
                descriptor.size());
    }

    void requireSize(String what, Descriptor descriptor) throws IOException {
        files.need(descriptor);
        long actual = files.size(path(descriptor.digest()));
        if (actual < 0) {
            throw Failures.corrupt(operation, "The %s %s is missing".formatted(what, descriptor.digest()));
        }
        if (actual != descriptor.size()) {
            throw Failures.corrupt(
                    operation,
                    "The %s %s has %d bytes, its descriptor says %d"
                            .formatted(what, descriptor.digest(), actual, descriptor.size()));
        }
    }

    static String path(Digest digest) {
        return "blobs/" + digest.algorithm().name().toLowerCase(Locale.ROOT) + "/" + digest.hex();
    }

    interface Parsing<T> {
        T parse() throws IOException;
    }

    <T> T parsed(String what, Parsing<T> parsing) throws IOException {
        try {
            return parsing.parse();
        } catch (CorruptInputException e) {
            throw Failures.corrupt(operation, "The " + what + " cannot be used: " + e.getMessage());
        }
    }
}
