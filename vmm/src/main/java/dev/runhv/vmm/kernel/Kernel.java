package dev.runhv.vmm.kernel;

/**
 * A kernel of the catalogue.
 *
 * @param release what {@code uname -r} shows
 * @param digest of the kernel itself, {@code sha256:…}
 * @param sizeBytes of the kernel as it is stored
 * @param modulesBytes of its modules; 0 where it needs none
 */
public record Kernel(String name, String release, String digest, long sizeBytes, long modulesBytes, BootCost boot) {}
