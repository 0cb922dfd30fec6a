package dev.runhv.vmm.bundle;

/** The annotations of docs/bundle.md. */
public final class Annotations {
    /** What {@code vm.image} holds. */
    public static final String ROOTFS_TYPE = "dev.runhv.rootfs.type";

    public static final String EROFS = "erofs";
    /** The absolute paths of the files that are the rest of {@code vm.image}, one a line. */
    public static final String ROOTFS_LAYERS = "dev.runhv.rootfs.layers";
    /** {@code true} or {@code false}: whether the container's stdin is connected. */
    public static final String STDIN = "dev.runhv.stdin";
    /** The absolute path of the archive with the kernel's modules. */
    public static final String KERNEL_MODULES = "dev.runhv.kernel.modules";
    /** Bytes. */
    public static final String MEMORY = "dev.runhv.memory";

    public static final String CPUS = "dev.runhv.cpus";
    /** Bytes. */
    public static final String SCRATCH = "dev.runhv.scratch";

    public static final String ENGINE = "dev.runhv.engine";
    /** Whose files the container finds in {@code /etc} where the image has none: {@link #DOCKER}. */
    public static final String ETC = "dev.runhv.etc";

    public static final String DOCKER = "docker";
    /** The image as its user named it. */
    public static final String IMAGE = "dev.runhv.image";
    /** What stops the container: a signal's name or number. */
    public static final String STOP_SIGNAL = "dev.runhv.stop-signal";

    private Annotations() {}
}
