package dev.runhv.api;

import java.util.Locale;

/** A part of a start, in their order. A later version may have more: a {@code switch} needs a default branch. */
public enum StartStage {
    /** The image is read and, where the store lacks it, made into a root file system. */
    IMAGE,
    /** The bundle is made. */
    BUNDLE,
    /** The micro-VM's process begins. */
    SPAWN,
    /** The virtual machine is made and set up. */
    PARTITION,
    /** Its memory is reserved and filled. */
    MEMORY,
    /** The guest's kernel boots. */
    KERNEL,
    /** The agent prepares the container. */
    AGENT,
    /** The container's program is in place and runs. */
    FIRST_INSTRUCTION,
    /** It has written something. */
    FIRST_OUTPUT,
    /** It has ended, and the micro-VM is torn down. */
    EXIT;

    /**
     * As it stands in JSON.
     *
     * @return for instance {@code first_instruction}
     */
    public String jsonName() {
        return name().toLowerCase(Locale.ROOT);
    }
}
