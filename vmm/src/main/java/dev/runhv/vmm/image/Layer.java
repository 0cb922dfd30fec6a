package dev.runhv.vmm.image;

import dev.runhv.vmm.content.Digest;
import java.io.IOException;
import java.io.InputStream;

/** One layer of an image as it is stored, compressed or not. */
public final class Layer {
    /** Where the stored bytes are. */
    interface Stored {
        InputStream open() throws IOException;

        /** As {@link Layer#keep}. */
        default boolean keep() throws IOException {
            return false;
        }
    }

    private final String name;
    private final Digest diffId;
    private final long storedBytes;
    private final Stored stored;

    Layer(String name, Digest diffId, long storedBytes, Stored stored) {
        this.name = name;
        this.diffId = diffId;
        this.storedBytes = storedBytes;
        this.stored = stored;
    }

    /** For messages: the digest or the path under which it is stored. */
    public String name() {
        return name;
    }

    /** The digest that the decompressed layer must have; checking it is up to the reader. */
    public Digest diffId() {
        return diffId;
    }

    public long storedBytes() {
        return storedBytes;
    }

    /**
     * The stored bytes, checked against their digest when they are read to the end; of a registry's layer that is not in the
     * store they come while they are read, and are kept. To be closed by the thread that opens it.
     */
    public InputStream open() throws IOException {
        return stored.open();
    }

    /**
     * Sees to it that the stored bytes of a registry's layer are in the store.
     *
     * @return whether they were not, and had to be fetched
     */
    public boolean keep() throws IOException {
        return stored.keep();
    }

    @Override
    public String toString() {
        return name;
    }
}
