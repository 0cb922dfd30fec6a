/**
 * Images from registries (OCI distribution 1.1, Docker registry v2): names, the client, and the store of blobs. What the
 * bytes mean is for {@code dev.runhv.vmm.image}.
 */
package dev.runhv.vmm.registry;
