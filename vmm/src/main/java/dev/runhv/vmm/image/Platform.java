package dev.runhv.vmm.image;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.Failures;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What an image was built for.
 *
 * @param variant empty where there is none
 */
public record Platform(String os, String architecture, String variant) {
    /** What runs here: amd64 of any level, the lowest first, since the engine promises no more than x86-64-v1. */
    public static final Platform HERE = new Platform("linux", "amd64", "");

    /** What a descriptor that names none is for. */
    static final Platform UNNAMED = new Platform("", "", "");

    private static final Pattern TEXT = Pattern.compile("([a-z0-9]+)/([A-Za-z0-9_-]+)(/([a-z0-9]+))?");
    private static final int OTHER = -1;
    private static final int UNSAID = 100;

    public Platform {
        architecture = normalized(architecture);
        os = os.toLowerCase(Locale.ROOT);
    }

    /**
     * As a user writes it: {@code OS/ARCHITECTURE[/VARIANT]}.
     *
     * @throws RunhvException with {@code INVALID_ARGUMENT}
     */
    public static Platform parse(String text) {
        Matcher parts = TEXT.matcher(text);
        if (!parts.matches()) {
            throw Failures.invalid(
                    "read the platform \"" + text + "\"", "Expected OS/ARCHITECTURE[/VARIANT], such as linux/arm64");
        }
        return new Platform(parts.group(1), parts.group(2), parts.group(4) == null ? "" : parts.group(4));
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

    /**
     * How far it is from what is wanted: the nearest serves best, and below zero none does. What is not said may be anything.
     */
    int distanceFrom(Platform wanted) {
        int level = wanted.level(variant);
        int wantedLevel = wanted.level(wanted.variant);
        boolean any = wanted.architecture.equals("amd64") && wanted.variant.isEmpty();
        int distance = any ? level - wantedLevel : wantedLevel - level;
        if (isOther(os, wanted.os) || isOther(architecture, wanted.architecture) || level == 0 || distance < 0) {
            return OTHER;
        }
        return saysAll() ? distance : UNSAID;
    }

    public boolean runsHere() {
        return distanceFrom(HERE) >= 0;
    }

    private static boolean isOther(String said, String wanted) {
        return !said.isEmpty() && !said.equals(wanted);
    }

    /** Of a variant of this architecture: each runs what is for those below it. 0: there is none of the name. */
    private int level(String name) {
        return switch (architecture) {
            case "amd64" -> level(name, 1, 4);
            case "arm" -> level(name, 7, 8);
            case "arm64" -> level(name, 8, 9);
            default -> 1;
        };
    }

    private static int level(String name, int usual, int most) {
        if (name.isEmpty()) {
            return usual;
        }
        int level = name.matches("v[1-9]") ? name.charAt(1) - '0' : 0;
        return level > most ? 0 : level;
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
