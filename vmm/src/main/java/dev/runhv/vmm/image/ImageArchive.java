package dev.runhv.vmm.image;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.tar.TarWriter;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Images as one archive: an OCI layout with the manifest.json of docker save beside it, as docker writes it since version 25, so
 * that readers of either find them. The same images are the same bytes.
 */
final class ImageArchive {
    private static final String LAYOUT = "{\"imageLayoutVersion\":\"1.0.0\"}";
    private static final String OCI_INDEX = "application/vnd.oci.image.index.v1+json";

    private ImageArchive() {}

    /**
     * @param blobs of all the images, checked against their digests while they are read
     * @param out closed in the end
     */
    static void write(List<SentImage> images, OciReader blobs, OutputStream out) throws IOException {
        Map<String, Descriptor> byPath = new TreeMap<>();
        images.forEach(image -> image.blobs().forEach(blob -> byPath.put(OciReader.path(blob.digest()), blob)));
        try (TarWriter tar = new TarWriter(out)) {
            tar.directory("blobs/");
            String folder = "blobs/";
            for (Map.Entry<String, Descriptor> blob : byPath.entrySet()) {
                String path = blob.getKey();
                String its = path.substring(0, path.lastIndexOf('/') + 1);
                if (!its.equals(folder)) {
                    tar.directory(its);
                    folder = its;
                }
                try (InputStream in = blobs.open("blob", blob.getValue())) {
                    tar.file(path, blob.getValue().size(), in);
                }
            }
            file(tar, "index.json", index(images));
            file(tar, "manifest.json", manifests(images));
            file(tar, "oci-layout", LAYOUT.getBytes(StandardCharsets.US_ASCII));
        }
    }

    private static void file(TarWriter tar, String name, byte[] content) throws IOException {
        tar.file(name, content.length, new ByteArrayInputStream(content));
    }

    private interface Writing {
        void write(JsonGenerator json) throws IOException;
    }

    private static byte[] json(Writing writing) throws IOException {
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        try (JsonGenerator json = new JsonFactory().createGenerator(text)) {
            writing.write(json);
        }
        return text.toByteArray();
    }

    private static byte[] index(List<SentImage> images) throws IOException {
        return json(json -> {
            json.writeStartObject();
            json.writeNumberField("schemaVersion", 2);
            json.writeStringField("mediaType", OCI_INDEX);
            json.writeArrayFieldStart("manifests");
            for (SentImage image : images) {
                json.writeStartObject();
                json.writeStringField("mediaType", image.top().mediaType());
                json.writeStringField("digest", image.top().digest().toString());
                json.writeNumberField("size", image.top().size());
                json.writeObjectFieldStart("annotations");
                json.writeStringField(OciReader.CONTAINERD_NAME, image.name().toString());
                if (image.name().digest().isEmpty()) {
                    json.writeStringField(Descriptor.REF_NAME, image.name().tag());
                }
                json.writeEndObject();
                json.writeEndObject();
            }
            json.writeEndArray();
            json.writeEndObject();
        });
    }

    /** One entry for each configuration, with all its names: docker's readers know an image by it. */
    private static byte[] manifests(List<SentImage> images) throws IOException {
        Map<Digest, SentImage> byConfig = new LinkedHashMap<>();
        images.forEach(image -> byConfig.putIfAbsent(image.manifest().config().digest(), image));
        return json(json -> {
            json.writeStartArray();
            for (SentImage image : byConfig.values()) {
                Digest config = image.manifest().config().digest();
                json.writeStartObject();
                json.writeStringField("Config", OciReader.path(config));
                json.writeArrayFieldStart("RepoTags");
                for (SentImage named : images) {
                    if (named.manifest().config().digest().equals(config)
                            && named.name().digest().isEmpty()) {
                        json.writeString(named.name().toString());
                    }
                }
                json.writeEndArray();
                json.writeArrayFieldStart("Layers");
                for (Descriptor layer : image.manifest().layers()) {
                    json.writeString(OciReader.path(layer.digest()));
                }
                json.writeEndArray();
                json.writeEndObject();
            }
            json.writeEndArray();
        });
    }
}
