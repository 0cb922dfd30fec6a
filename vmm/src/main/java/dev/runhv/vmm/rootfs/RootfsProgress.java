package dev.runhv.vmm.rootfs;

/** Is told how the making of a root file system goes on. Calls come from threads of the maker, one at a time. */
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
}
