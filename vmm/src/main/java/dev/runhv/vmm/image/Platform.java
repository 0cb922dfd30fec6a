package dev.runhv.vmm.image;

import java.util.Locale;

/**
 * What an image was built for.
 *
 * @param variant empty where there is none
 */
public record Platform(String os, String architecture, String variant) {
    /** The value of an AMD64 variant in the absence of one. */
    private static final int BASELINE = 1;

    public Platform {
        architecture = normalized(architecture);
        os = os.toLowerCase(Locale.ROOT);
    }

    /** Does not say: it may be for anything. */
    boolean isUnsaid() {
        return os.isEmpty() && architecture.isEmpty();
    }

    boolean saysAll() {
        return !os.isEmpty() && !architecture.isEmpty();
    }

    /** BuildKit lists its attestations in the index, as images for nothing. */
    boolean isUnknown() {
        return os.equals("unknown") && architecture.equals("unknown");
    }

    /** Is for linux/amd64, as far as it says. */
    boolean runsHere() {
        return (os.isEmpty() || os.equals("linux"))
                && (architecture.isEmpty() || architecture.equals("amd64"))
                && amd64Level() > 0;
    }

    /** 1..4 for x86-64-v1..v4; 0 for a variant that does not exist. */
    int amd64Level() {
        return switch (variant) {
            case "", "v1" -> BASELINE;
            case "v2" -> 2;
            case "v3" -> 3;
            case "v4" -> 4;
            default -> 0;
        };
    }

    @Override
    public String toString() {
        return isUnsaid() ? "(unsaid)" : said(os) + "/" + said(architecture) + (variant.isEmpty() ? "" : "/" + variant);
    }

    private static String said(String part) {
        return part.isEmpty() ? "(unsaid)" : part;
    }

    private static String normalized(String architecture) {
        return switch (architecture.toLowerCase(Locale.ROOT)) {
            case "x86_64", "x86-64" -> "amd64";
            case "aarch64" -> "arm64";
            default -> architecture.toLowerCase(Locale.ROOT);
        };
    }
}
