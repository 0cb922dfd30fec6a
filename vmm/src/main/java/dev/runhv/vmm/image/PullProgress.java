package dev.runhv.vmm.image;

import dev.runhv.vmm.content.Digest;

/** Is told how the layers of an image come from its registry, by the threads that read them while they come. */
public interface PullProgress {
    /** Wants to know nothing. */
    PullProgress NONE = (layer, bytes, totalBytes) -> {};

    /**
     * @param bytes of the layer that have been read, those first that came before
     * @param totalBytes of the layer as it is stored
     */
    void fetched(Digest layer, long bytes, long totalBytes);

    /**
     * What the name means is known; its layers come next.
     *
     * @param image the manifest, or the index of manifests
     * @param totalBytes of all layers as they are stored
     */
    default void resolved(Digest image, int layers, long totalBytes) {}

    /** The layer is in the store, verified, as it came and as a part of a root file system. */
    default void ready(Digest layer, long totalBytes) {}
}
