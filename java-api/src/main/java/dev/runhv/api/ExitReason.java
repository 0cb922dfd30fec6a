package dev.runhv.api;

import java.util.Locale;

/**
 * Why a virtual processor came back from the guest. A later version may have more: a {@code switch} needs a default
 * branch.
 */
public enum ExitReason {
    /** An I/O port was read or written. */
    IO_PORT,
    /** A device's memory was read or written. */
    MMIO,
    /** CPUID. */
    CPUID,
    /** A model-specific register was read or written. */
    MSR,
    /** HLT: there is nothing to do. */
    HALT,
    /** An interrupt can be taken now. */
    INTERRUPT_WINDOW,
    /** An interrupt was acknowledged. */
    APIC_EOI,
    /** The host asked for it. */
    CANCELED,
    /** Anything else. */
    OTHER;

    /**
     * As it stands in JSON.
     *
     * @return for instance {@code io_port}
     */
    public String jsonName() {
        return name().toLowerCase(Locale.ROOT);
    }
}
