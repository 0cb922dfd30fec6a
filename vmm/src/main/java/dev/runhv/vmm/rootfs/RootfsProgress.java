package dev.runhv.vmm.rootfs;

/**
 * Is told how the making of a root file system goes on, ten times a second at most and at the end of each layer. Calls come
 * from threads of the maker, one at a time, and none comes after the maker has returned.
 */
public interface RootfsProgress {
    /** Wants to know nothing. */
    RootfsProgress NONE = (layer, layers, bytes, totalBytes) -> {};

    /**
     * @param layer the last one that was begun, from 1; several are read at once
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

    /** Passes on what a person should know, and nothing else. */
    default RootfsProgress warnings() {
        RootfsProgress all = this;
        return new RootfsProgress() {
            @Override
            public void read(int layer, int layers, long bytes, long totalBytes) {}

            @Override
            public void warn(String text) {
                all.warn(text);
            }
        };
    }
}
