package dev.runhv.api;

import java.util.Locale;

/**
 * What kind of thing went wrong. The names are those of the core's C interface ({@code runhv_code}). A later version may
 * have more of them: a {@code switch} needs a default branch, best by {@link #category()}.
 */
public enum ErrorCode {
    /** A value that the caller gave is out of its range or not of its form. */
    INVALID_ARGUMENT(Category.USER),
    /** An image, a kernel or another file that the caller named is not there. */
    NOT_FOUND(Category.USER),
    /** The name is taken, or the object is in a state that does not allow the call. */
    CONFLICT(Category.USER),
    /** An image, a bundle or a kernel is damaged, truncated or not what it claims to be. */
    CORRUPT_INPUT(Category.USER),
    /** Understood, but not in this version or not on this host. */
    UNSUPPORTED(Category.USER),
    /** The operating system refused access. */
    ACCESS_DENIED(Category.HOST),
    /** The host has too little memory. */
    OUT_OF_MEMORY(Category.HOST),
    /** A disk of the host is full, or the image store has what it may have. */
    NO_SPACE(Category.HOST),
    /** The engine that was asked for is not on this host. */
    HYPERVISOR_ABSENT(Category.HOST),
    /** The guest crashed, or said something that it must not say. */
    GUEST_FAILED(Category.GUEST),
    /** The guest did not answer in time. */
    TIMED_OUT(Category.GUEST),
    /** The object was used after it was closed. */
    CLOSED(Category.USER),
    /** The operating system failed in another way; see {@link RunhvException#osError()}. */
    HOST_FAILED(Category.HOST),
    /** A fault of runhv itself. */
    INTERNAL(Category.INTERNAL);

    /** Whose move it is. */
    public enum Category {
        /** The caller can mend it: another argument, another image. */
        USER,
        /** Whoever runs the host can mend it. */
        HOST,
        /** What runs in the container is at fault. Only its own VM is affected. */
        GUEST,
        /** We can mend it: please report it. */
        INTERNAL
    }

    private final Category category;

    ErrorCode(Category category) {
        this.category = category;
    }

    /**
     * Whose move it is.
     *
     * @return the same for this code in every version
     */
    public Category category() {
        return category;
    }

    /**
     * The code as it stands in JSON.
     *
     * @return for instance {@code not_found}
     */
    public String jsonName() {
        return name().toLowerCase(Locale.ROOT);
    }

    /**
     * The inverse of {@link #jsonName()}.
     *
     * @param name as it stands in JSON
     * @return {@link #INTERNAL} for a name that this version does not know
     */
    public static ErrorCode ofJsonName(String name) {
        for (ErrorCode code : values()) {
            if (code.jsonName().equals(name)) {
                return code;
            }
        }
        return INTERNAL;
    }
}
