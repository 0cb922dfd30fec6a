/**
 * Root file systems: the layers of an image, applied in order to a tree in memory while their data streams to its final
 * place in one uncompressed EROFS image. The tree never touches the host's file system, so there is nothing on the host
 * that a layer could escape to, overwrite or lose its owners in.
 *
 * <p>Names are byte strings as in {@code dev.runhv.vmm.content.tar}: one {@code char} is one byte.
 */
package dev.runhv.vmm.rootfs;
