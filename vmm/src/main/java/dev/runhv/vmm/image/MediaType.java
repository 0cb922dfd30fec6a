package dev.runhv.vmm.image;

/** The media types that a runnable image is made of, in the spelling of OCI and in that of Docker. */
enum MediaType {
    INDEX("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"),
    MANIFEST("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"),
    CONFIG("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"),
    LAYER(
            "application/vnd.oci.image.layer.v1.tar",
            "application/vnd.oci.image.layer.v1.tar+gzip",
            "application/vnd.oci.image.layer.v1.tar+zstd",
            "application/vnd.docker.image.rootfs.diff.tar",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "application/vnd.docker.image.rootfs.diff.tar.zstd"),
    /** Not to be handed on by a registry (OCI image 1.1, "Non-Distributable Layers", deprecated there). */
    FOREIGN_LAYER(
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
            "application/vnd.docker.image.rootfs.foreign.diff.tar",
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
    /** Docker's first schema: signed, without a configuration of its own. */
    SCHEMA1(
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "application/vnd.docker.distribution.manifest.v1+json"),
    UNKNOWN();

    private final String[] names;

    MediaType(String... names) {
        this.names = names;
    }

    static MediaType of(String name) {
        for (MediaType type : values()) {
            for (String known : type.names) {
                if (known.equals(name)) {
                    return type;
                }
            }
        }
        return UNKNOWN;
    }
}
