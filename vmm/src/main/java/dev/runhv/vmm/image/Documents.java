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

    private record Key(Digest digest, long size, Class<?> type) {}

    private final long most;
    private final Map<Key, Object> kept = new LinkedHashMap<>(16, 0.75f, true);
    private long bytes;

    /** @param most bytes of text that are kept; 0: nothing is */
    Documents(long most) {
        this.most = most;
    }

    synchronized <T> Optional<T> find(Class<T> type, Descriptor descriptor) {
        return Optional.ofNullable(type.cast(kept.get(key(type, descriptor))));
    }

    /** @param reading verifies size and digest */
    <T> T get(Class<T> type, Descriptor descriptor, Reading<T> reading) throws IOException {
        Optional<T> known = find(type, descriptor);
        return known.isPresent() ? known.get() : keep(key(type, descriptor), reading.read());
    }

    private static Key key(Class<?> type, Descriptor descriptor) {
        return new Key(descriptor.digest(), descriptor.size(), type);
    }

    private synchronized <T> T keep(Key key, T document) {
        bytes += kept.put(key, document) == null ? key.size : 0;
        Iterator<Key> eldest = kept.keySet().iterator();
        while (bytes > most) {
            bytes -= eldest.next().size;
            eldest.remove();
        }
        return document;
    }
}
