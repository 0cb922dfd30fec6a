package dev.runhv.vmm.image;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.runhv.vmm.content.Compression;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.registry.BlobStore;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** The manifest of an image that came without one: the same blobs give the same bytes. */
final class NewManifest {
    private static final String MANIFEST = "application/vnd.oci.image.manifest.v1+json";
    private static final String CONFIG = "application/vnd.oci.image.config.v1+json";
    private static final String LAYER = "application/vnd.oci.image.layer.v1.tar";

    private record Blob(String mediaType, BlobStore.Added added) {}

    private final BlobStore store;
    private final List<Blob> layers = new ArrayList<>();

    NewManifest(BlobStore store) {
        this.store = store;
    }

    /** The next layer, from the lowest on. */
    void layer(Compression compression, BlobStore.Added added) {
        String suffix = switch (compression) {
            case NONE -> "";
            case GZIP -> "+gzip";
            case ZSTD -> "+zstd";
        };
        layers.add(new Blob(LAYER + suffix, added));
    }

    /** Puts the configuration and the manifest into the store. */
    Descriptor put(byte[] config) throws IOException {
        Blob configured = new Blob(CONFIG, store.add(Digest.Algorithm.SHA256, new ByteArrayInputStream(config)));
        ByteArrayOutputStream manifest = new ByteArrayOutputStream();
        try (JsonGenerator json = new JsonFactory().createGenerator(manifest)) {
            json.writeStartObject();
            json.writeNumberField("schemaVersion", 2);
            json.writeStringField("mediaType", MANIFEST);
            json.writeFieldName("config");
            write(json, configured);
            json.writeArrayFieldStart("layers");
            for (Blob layer : layers) {
                write(json, layer);
            }
            json.writeEndArray();
            json.writeEndObject();
        }
        BlobStore.Added added = store.add(Digest.Algorithm.SHA256, new ByteArrayInputStream(manifest.toByteArray()));
        return Descriptor.of(MANIFEST, added.digest(), added.size());
    }

    private static void write(JsonGenerator json, Blob blob) throws IOException {
        json.writeStartObject();
        json.writeStringField("mediaType", blob.mediaType);
        json.writeStringField("digest", blob.added.digest().toString());
        json.writeNumberField("size", blob.added.size());
        json.writeEndObject();
    }
}
