/**
 * Images as they lie on disk: OCI layouts, OCI archives and archives of {@code docker save}, read with every digest
 * verified. Nothing here interprets a layer; {@code dev.runhv.vmm.rootfs} does.
 */
package dev.runhv.vmm.image;
