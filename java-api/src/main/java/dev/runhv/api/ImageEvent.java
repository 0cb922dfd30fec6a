package dev.runhv.api;

/**
 * What happens on the way of an image into the store or to a registry; see {@link Images#pull(PullSpec,
 * java.util.function.Consumer)} and {@link Images#push(String, java.util.function.Consumer)}. A later version may tell more: a
 * {@code switch} needs a default branch.
 */
public interface ImageEvent {
    /**
     * What the name means is known. Its layers come next, several side by side.
     *
     * @param digest of the manifest, or of the index of manifests
     * @param layers how many it has
     * @param totalBytes of all layers as they are stored
     */
    record Resolved(String digest, int layers, long totalBytes) implements ImageEvent {}

    /**
     * A layer comes, and is made a part of root file systems while it comes. Told ten times a second at most for each layer,
     * and when all of it is there.
     *
     * @param layer its digest
     * @param bytes that have come, those of earlier attempts included
     * @param totalBytes of the layer as it is stored
     */
    record Fetched(String layer, long bytes, long totalBytes) implements ImageEvent {}

    /**
     * A layer is in the store, verified. Told once for each.
     *
     * @param layer its digest
     * @param totalBytes of the layer as it is stored
     */
    record LayerReady(String layer, long totalBytes) implements ImageEvent {}

    /**
     * A layer goes to a registry. Told ten times a second at most for each layer, and when the registry has all of it, also of
     * one that it had before.
     *
     * @param layer its digest
     * @param bytes that are on their way; they may become fewer where an upload is begun again
     * @param totalBytes of the layer as it is stored
     */
    record Sent(String layer, long bytes, long totalBytes) implements ImageEvent {}

    /**
     * Something that one should know of an image that is used all the same.
     *
     * @param operation what was attempted
     * @param detail a sentence without its stop
     */
    record Warning(String operation, String detail) implements ImageEvent {}
}
