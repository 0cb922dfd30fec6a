package dev.runhv.api;

/** A name in the store, and the image that it means. Implemented by runhv; later versions tell more. */
public interface Image {
    /**
     * The name, with all that it leaves unsaid: {@code docker.io/library/busybox:latest} of {@code busybox}.
     *
     * @return as {@link ContainerSpec#image(String)} takes it
     */
    String name();

    /**
     * What the image is, whatever names it has: the digest of its configuration.
     *
     * @return {@code sha256:…}; of an image that {@link Images#inspect} refuses its {@link #digest()}
     */
    String id();

    /**
     * What the name means in its registry: the digest of a manifest, or of an index of manifests.
     *
     * @return {@code sha256:…}
     */
    String digest();
}
