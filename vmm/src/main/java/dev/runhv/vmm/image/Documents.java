package dev.runhv.vmm.image;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import java.io.IOException;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Manifests, indexes and configurations that were read and verified, by their digests: what a digest names never changes, so
 * a JVM that stays reads it once. What was not used for longest goes first. Any number of threads may use it.
 */
final class Documents {
    /** Those of every store; as text, of which what is parsed is a few times as large. */
    static final Documents READ = new Documents(8 << 20);

    interface Parser<T> {
        T parse(byte[] text) throws CorruptInputException;
    }

    interface Reading<T> {
        T read() throws IOException;
    }

    private record Document(Object content, long size) {}

    private final long most;
    /** Texts for keys, for the reason that {@link Digest} gives. */
    private final Map<String, Document> kept = new LinkedHashMap<>(16, 0.75f, true);

    private long bytes;

    /** @param most bytes of text that are kept; 0: nothing is */
    Documents(long most) {
        this.most = most;
    }

    synchronized <T> Optional<T> find(Class<T> type, Descriptor descriptor) {
        Document document = kept.get(key(type, descriptor));
        return document == null ? Optional.empty() : Optional.of(type.cast(document.content));
    }

    /** @param reading verifies size and digest */
    <T> T get(Class<T> type, Descriptor descriptor, Reading<T> reading) throws IOException {
        Optional<T> known = find(type, descriptor);
        return known.isPresent() ? known.get() : keep(key(type, descriptor), descriptor.size(), reading.read());
    }

    private static String key(Class<?> type, Descriptor descriptor) {
        return type.getName() + " " + descriptor.size() + " " + descriptor.digest();
    }

    private synchronized <T> T keep(String key, long size, T content) {
        bytes += kept.put(key, new Document(content, size)) == null ? size : 0;
        Iterator<Document> eldest = kept.values().iterator();
        while (bytes > most) {
            bytes -= eldest.next().size;
            eldest.remove();
        }
        return content;
    }
}
