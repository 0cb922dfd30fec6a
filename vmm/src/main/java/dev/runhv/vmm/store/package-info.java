/**
 * The images of a store as a whole: their names and IDs, what each takes, and what may be removed. What is in an image is for
 * {@code dev.runhv.vmm.image}, what is made of it for {@code dev.runhv.vmm.rootfs}.
 */
package dev.runhv.vmm.store;
