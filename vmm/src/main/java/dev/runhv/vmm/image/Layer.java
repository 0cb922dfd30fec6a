package dev.runhv.vmm.image;

import dev.runhv.vmm.content.Digest;
import java.io.IOException;
import java.io.InputStream;

/** One layer of an image as it is stored, compressed or not. */
public final class Layer {
    /** Opens the stored bytes. */
    interface Opener {
        InputStream open() throws IOException;
    }

    private final String name;
    private final Digest diffId;
    private final long storedBytes;
    private final Opener opener;

    Layer(String name, Digest diffId, long storedBytes, Opener opener) {
        this.name = name;
        this.diffId = diffId;
        this.storedBytes = storedBytes;
        this.opener = opener;
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

    /** The stored bytes, checked against their digest when they are read to the end. */
    public InputStream open() throws IOException {
        return opener.open();
    }

    @Override
    public String toString() {
        return name;
    }
}
