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
        return new Descriptor(mediaType, digest, size, new Platform("", "", ""), Map.of());
    }

    static Descriptor from(Json json) throws CorruptInputException {
        Json platform = json.objectOrEmpty("platform");
        long size = json.number("size");
        if (size < 0) {
            throw new CorruptInputException("A descriptor has the size " + size);
        }
        return new Descriptor(
                json.string("mediaType", ""),
                Digest.parse(json.string("digest")),
                size,
                new Platform(
                        platform.string("os", ""), platform.string("architecture", ""), platform.string("variant", "")),
                Map.copyOf(json.objectOrEmpty("annotations").stringMembers()));
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
