package dev.runhv.vmm.image;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.Json;
import dev.runhv.vmm.content.StoreLease;
import dev.runhv.vmm.registry.Reference;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The bills of materials that come with an image: what its builder attests in the index that lists it (BuildKit, "Attestation
 * storage"), else what refers to it in its registry (OCI distribution 1.1, "Listing Referrers"). They say what whoever wrote
 * them says; that they are of this image, a digest says.
 */
public final class ImageSboms {
    private static final JsonFactory FACTORY = new JsonFactory();
    private static final String BUILDKIT_TYPE = "vnd.docker.reference.type";
    private static final String BUILDKIT_DIGEST = "vnd.docker.reference.digest";
    private static final String ATTESTATION = "attestation-manifest";
    private static final String IN_TOTO = "application/vnd.in-toto+json";
    private static final String PREDICATE_TYPE = "in-toto.io/predicate-type";
    private static final String SPDX = "https://spdx.dev/Document";
    private static final String CYCLONEDX = "https://cyclonedx.org/bom";
    /** Documents by themselves. */
    private static final Map<String, Format> MEDIA_TYPES = Map.of(
            "application/spdx+json", Format.SPDX,
            "text/spdx+json", Format.SPDX,
            "application/vnd.cyclonedx+json", Format.CYCLONEDX);

    private final String operation;
    private final RegistryFiles files;
    private final OciReader reader;
    private final StoredImage image;

    private ImageSboms(String operation, RegistryFiles files, StoredImage image) {
        this.operation = operation;
        this.files = files;
        this.reader = new OciReader(operation, files);
        this.image = image;
    }

    /** Of the documents that are found; others are passed over. */
    public enum Format {
        SPDX,
        CYCLONEDX
    }

    /** @param document JSON, byte for byte as it was written */
    public record Sbom(Format format, byte[] document) {}

    /**
     * What the store lacks of them is fetched.
     *
     * @param image that the name means
     * @param format that alone is wanted
     * @return in the order in which they are listed; never empty
     * @throws RunhvException with {@code NOT_FOUND} where there is none; where what is there is damaged, or of another image
     */
    public static List<Sbom> find(Reference name, StoredImage image, Optional<Format> format, Path store)
            throws InterruptedException {
        String operation = "find an SBOM of image " + name;
        try (StoreLease _ = StoreLease.take(store);
                RegistryFiles files = new RegistryFiles(name, store, PullPolicy.MISSING, PullProgress.NONE)) {
            ImageSboms sboms = new ImageSboms(operation, files, image);
            List<Sbom> found = sboms.attested();
            if (found.isEmpty()) {
                found = sboms.referring();
            }
            List<Sbom> fitting = found.stream()
                    .filter(sbom -> format.isEmpty() || sbom.format() == format.get())
                    .toList();
            if (found.isEmpty()) {
                throw Failures.notFound(
                        operation,
                        "Its builder attests none in SPDX or CycloneDX, and in its registry none refers to it");
            }
            if (fitting.isEmpty()) {
                throw Failures.notFound(operation, "It has one in another format only");
            }
            return fitting;
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of(operation, e);
        }
    }

    private List<Sbom> attested() throws IOException {
        List<Sbom> found = new ArrayList<>();
        if (image.target().type() != MediaType.INDEX) {
            return found;
        }
        ImageIndex index = parsed("index", image.target(), ImageIndex::parse);
        String digest = image.manifest().digest().toString();
        for (Descriptor entry : index.manifests()) {
            if (ATTESTATION.equals(entry.annotations().get(BUILDKIT_TYPE))
                    && digest.equals(entry.annotations().get(BUILDKIT_DIGEST))) {
                addDocuments(parsed("attestation", entry, Manifest::parse), found);
            }
        }
        return found;
    }

    private List<Sbom> referring() throws IOException {
        List<Sbom> found = new ArrayList<>();
        Digest digest = image.manifest().digest();
        List<Json> entries = new ArrayList<>();
        for (byte[] index : files.referrers(digest)) {
            entries.addAll(Json.parse(index).objects("manifests"));
        }
        for (Json entry : entries) {
            String type = entry.string("artifactType", "");
            if (!MEDIA_TYPES.containsKey(type) && !type.equals(IN_TOTO)) {
                continue;
            }
            byte[] text = reader.blob("referrer", Descriptor.from(entry), ImageLimits.MANIFEST_BYTES);
            // A registry lists what it likes, and its fallback tag is anybody's who may push.
            if (!digest.toString()
                    .equals(Json.parse(text).objectOrEmpty("subject").string("digest", ""))) {
                throw new CorruptInputException("What is listed as referring to " + digest + " does not");
            }
            addDocuments(Manifest.parse(text), found);
        }
        return found;
    }

    private void addDocuments(Manifest manifest, List<Sbom> found) throws IOException {
        for (Descriptor layer : manifest.layers()) {
            Format format = MEDIA_TYPES.get(layer.mediaType());
            if (format != null) {
                byte[] document = reader.blob("SBOM", layer, ImageLimits.SBOM_BYTES);
                requireJson(document);
                found.add(new Sbom(format, document));
            } else if (layer.mediaType().equals(IN_TOTO)) {
                String type = layer.annotations().getOrDefault(PREDICATE_TYPE, "");
                Optional<Format> attested = formatOf(type);
                if (attested.isPresent()) {
                    found.add(new Sbom(attested.get(), predicate(layer, type)));
                }
            }
        }
    }

    /** Which has no control characters, wherever it is written to. */
    private static void requireJson(byte[] document) throws IOException {
        try (JsonParser json = FACTORY.createParser(document)) {
            while (json.nextToken() != null) {
                json.skipChildren();
            }
        } catch (JsonProcessingException e) {
            throw new CorruptInputException("The SBOM is no JSON: " + e.getOriginalMessage(), e);
        }
    }

    private static Optional<Format> formatOf(String predicateType) {
        if (predicateType.startsWith(SPDX)) {
            return Optional.of(Format.SPDX);
        }
        return predicateType.startsWith(CYCLONEDX) ? Optional.of(Format.CYCLONEDX) : Optional.empty();
    }

    private byte[] predicate(Descriptor layer, String type) throws IOException {
        InTotoStatement statement = reader.parsed(
                "attestation " + layer.digest(),
                () -> InTotoStatement.parse(reader.blob("attestation", layer, ImageLimits.SBOM_BYTES)));
        if (!statement.subjects().contains(image.manifest().digest())
                || !statement.predicateType().equals(type)) {
            throw Failures.corrupt(
                    operation,
                    "The attestation %s is not about %s, or not what it is listed as"
                            .formatted(layer.digest(), image.manifest().digest()));
        }
        return statement.predicate();
    }

    private interface Parser<T> {
        T parse(byte[] text) throws CorruptInputException;
    }

    private <T> T parsed(String what, Descriptor blob, Parser<T> parser) throws IOException {
        return reader.parsed(
                what + " " + blob.digest(), () -> parser.parse(reader.blob(what, blob, ImageLimits.MANIFEST_BYTES)));
    }
}
