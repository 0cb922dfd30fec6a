package dev.runhv.vmm.testing;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Path;

/** What the native build leaves, for the tests that need it. */
public final class InstalledDistribution {
    private static final String PROPERTY = "runhv.home";

    private InstalledDistribution() {}

    /** Its root. Without the property the test is skipped; with it everything must be there. */
    public static Path home() {
        String home = System.getProperty(PROPERTY, "");
        assumeTrue(
                !home.isEmpty(), "Skipped: needs the native build; say -D" + PROPERTY + "=DIR (tools/dev test does)");
        return Path.of(home).toAbsolutePath();
    }

    /** The root of the sources. */
    public static Path sources() {
        return Path.of(System.getProperty("basedir")).toAbsolutePath().getParent();
    }
}
