package dev.runhv.api;

import java.util.OptionalLong;

/** A layer of an image. Implemented by runhv; later versions tell more. */
public interface ImageLayer {
    /**
     * Its digest as it is stored, compressed or not.
     *
     * @return {@code sha256:…}
     */
    String digest();

    /**
     * What it is (OCI image 1.1, layer.md).
     *
     * @return a media type
     */
    String mediaType();

    /**
     * As it is stored.
     *
     * @return in bytes
     */
    long bytes();

    /**
     * The digest of the tar in it.
     *
     * @return {@code sha256:…}
     */
    String diffId();

    /**
     * The content of its files.
     *
     * @return in bytes; empty where the layer has not been read yet
     */
    OptionalLong contentBytes();
}
