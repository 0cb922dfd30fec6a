package dev.runhv.api;

import java.util.Locale;

/** What executes the guest's instructions. */
public enum Engine {
    /** The fastest that this host has. */
    AUTO,
    /** The embedded processor: needs nothing of the host, slower. */
    SOFT,
    /** The KVM of a Linux host. */
    KVM,
    /** The Windows Hypervisor Platform. */
    WHP;

    /** As the command line and the bundle spell it. */
    public String optionName() {
        return name().toLowerCase(Locale.ROOT);
    }
}
