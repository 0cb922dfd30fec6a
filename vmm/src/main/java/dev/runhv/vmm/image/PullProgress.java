package dev.runhv.vmm.image;

import dev.runhv.vmm.content.Digest;

/** Is told how the layers of an image come from its registry, by the threads that fetch them. */
public interface PullProgress {
    /** Wants to know nothing. */
    PullProgress NONE = (layer, bytes, totalBytes) -> {};

    /**
     * @param bytes of the layer that are in the store; as many as there are where it is whole and verified
     * @param totalBytes of the layer as it is stored
     */
    void fetched(Digest layer, long bytes, long totalBytes);
}
