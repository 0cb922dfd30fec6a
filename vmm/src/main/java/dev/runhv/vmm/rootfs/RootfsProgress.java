package dev.runhv.vmm.rootfs;

/**
 * Is told how the making of a root file system goes on, ten times a second at most and at the end of each layer. Calls come
 * from threads of the maker, one at a time, and none comes after the maker has returned.
 */
public interface RootfsProgress {
    /** Wants to know nothing. */
    RootfsProgress NONE = (layer, layers, bytes, totalBytes) -> {};

    /**
     * @param layer the one being read, from 1
     * @param layers how many there are
     * @param bytes of the image's stored layers that were read
     * @param totalBytes of all stored layers
     */
    void read(int layer, int layers, long bytes, long totalBytes);

    /**
     * What a person should know of an image that is used all the same.
     *
     * @param text a sentence without its stop
     */
    default void warn(String text) {}
}
