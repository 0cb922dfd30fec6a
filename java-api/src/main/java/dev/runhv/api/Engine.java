package dev.runhv.api;

import java.util.Locale;

/** What executes the guest's instructions. A later version may have more: a {@code switch} needs a default branch. */
public enum Engine {
    /** The fastest that this host has. */
    AUTO,
    /** The embedded processor: needs nothing of the host, slower. */
    SOFT,
    /** The KVM of a Linux host. */
    KVM,
    /** The Windows Hypervisor Platform. */
    WHP;

    /**
     * As the command line and the bundle spell it.
     *
     * @return for instance {@code soft}
     */
    public String optionName() {
        return name().toLowerCase(Locale.ROOT);
    }
}
