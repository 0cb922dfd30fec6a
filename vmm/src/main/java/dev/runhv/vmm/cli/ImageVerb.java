package dev.runhv.vmm.cli;

/** The verbs of images that are one request each, by their names (docs/images.md). */
enum ImageVerb {
    PULL,
    PUSH,
    LOAD,
    SAVE,
    IMPORT,
    IMAGES,
    RMI,
    TAG,
    PRUNE,
    INSPECT,
    HISTORY,
    DF,
    VERIFY,
    SBOM
}
