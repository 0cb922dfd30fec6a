package dev.runhv.api;

import java.io.Serializable;

/**
 * The number that the operating system gave for a failure, as it gave it.
 *
 * @param domain whose number it is
 * @param code for instance 28 in {@link Domain#ERRNO}, or 0x80370102 in {@link Domain#HRESULT}
 */
public record OsError(Domain domain, long code) implements Serializable {
    /** The tables that numbers of errors come from. */
    public enum Domain {
        /** {@code errno} of the host. */
        ERRNO,
        /** {@code GetLastError} of Windows. */
        WIN32,
        /** {@code HRESULT} of Windows. */
        HRESULT,
        /** {@code errno} inside the guest. */
        GUEST_ERRNO
    }

    @Override
    public String toString() {
        return switch (domain) {
            case ERRNO -> "errno " + code;
            case WIN32 -> "error " + code;
            case HRESULT -> "0x%08x".formatted(code);
            case GUEST_ERRNO -> "errno " + code + " in the guest";
        };
    }
}
