package dev.runhv.vmm.image;

/** When a registry is asked for an image by its name. */
public enum PullPolicy {
    /** What the name means is looked up; what is there of that is not fetched again. */
    ALWAYS,
    /** Where the store does not know the name, or lacks something of it. */
    MISSING,
    /** Nothing is asked. */
    NEVER
}
