package dev.runhv.vmm.kernel;

/** Bounds on kernels, modules and packages; a file that is larger is none of these. */
final class KernelLimits {
    /** What the machine loads (native/machine/machine.h). */
    static final long KERNEL_BYTES = 256L << 20;

    static final int MODULE_BYTES = 64 << 20;
    static final int MODULES = 65_536;
    /** A package's files, decompressed. */
    static final long PACKAGE_BYTES = 4L << 30;

    static final int BUILT_IN_LIST_BYTES = 1 << 20;
    /** The agent reads this much of the list of modules. */
    static final int ORDER_BYTES = 4096;
    /** Debian packs with a window of 64 MiB at most, which takes 65 to read. */
    static final int XZ_MEMORY_KIB = 128 << 10;

    static final int RECORD_BYTES = 64 << 10;

    private KernelLimits() {}
}
