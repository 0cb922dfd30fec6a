package dev.runhv.vmm.image;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Json;
import java.util.Map;

/**
 * Points to content: what it is, how long, and its digest (OCI image 1.1 descriptor.md).
 *
 * @param platform unsaid where the entry names none
 */
public record Descriptor(
        String mediaType, Digest digest, long size, Platform platform, Map<String, String> annotations) {
    static final String REF_NAME = "org.opencontainers.image.ref.name";

    /** Of what says no more. */
    static Descriptor of(String mediaType, Digest digest, long size) {
        return new Descriptor(mediaType, digest, size, Platform.UNNAMED, Map.of());
    }

    static Descriptor from(Json json) throws CorruptInputException {
        long size = json.number("size");
        if (size < 0) {
            throw new CorruptInputException("A descriptor has the size " + size);
        }
        return new Descriptor(
                json.string("mediaType", ""),
                Digest.parse(json.string("digest")),
                size,
                json.has("platform") ? platform(json.object("platform")) : Platform.UNNAMED,
                Map.copyOf(json.objectOrEmpty("annotations").stringMembers()));
    }

    private static Platform platform(Json json) throws CorruptInputException {
        return new Platform(json.string("os", ""), json.string("architecture", ""), json.string("variant", ""));
    }

    /** As that of {@link Digest}: by hand. Equal ones have equal digests. */
    @Override
    public int hashCode() {
        return digest.hashCode();
    }

    MediaType type() {
        return MediaType.of(mediaType);
    }

    /** The tag of an entry of {@code index.json}; empty where it has none. */
    String refName() {
        return annotations.getOrDefault(REF_NAME, "");
    }
}
