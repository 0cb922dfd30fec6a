package dev.runhv.vmm.trust;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Json;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** What the tag {@code sha256-HEX.sig} means: the signatures of the manifest with this digest, as cosign keeps them. */
record SignatureManifest(List<Entry> entries) {
    static final int ENTRIES = 100;
    static final int PAYLOAD_BYTES = 1 << 16;

    private static final String MEDIA_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json";
    private static final String SIGNATURE = "dev.cosignproject.cosign/signature";

    /**
     * @param payload the blob that is signed
     * @param size of it, at most {@link #PAYLOAD_BYTES}
     * @param signature base64, or anything
     */
    record Entry(Digest payload, int size, String signature) {}

    static String tag(Digest manifest) {
        return manifest.algorithm().name().toLowerCase(Locale.ROOT) + "-" + manifest.hex() + ".sig";
    }

    static SignatureManifest parse(byte[] text) throws CorruptInputException {
        List<Entry> entries = new ArrayList<>();
        for (Json layer : Json.parse(text).objects("layers")) {
            String signature = layer.objectOrEmpty("annotations").string(SIGNATURE, "");
            if (!layer.string("mediaType", "").equals(MEDIA_TYPE) || signature.isEmpty()) {
                continue;
            }
            long size = layer.number("size");
            if (size < 0 || size > PAYLOAD_BYTES) {
                throw new CorruptInputException(
                        "A signed document has the size %d, not 0 to %d".formatted(size, PAYLOAD_BYTES));
            }
            if (entries.size() == ENTRIES) {
                throw new CorruptInputException("It has more than %d signatures".formatted(ENTRIES));
            }
            entries.add(new Entry(Digest.parse(layer.string("digest")), (int) size, signature));
        }
        return new SignatureManifest(List.copyOf(entries));
    }
}
