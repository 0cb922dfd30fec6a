package dev.runhv.vmm.process;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The installed tree: {@code bin}, {@code lib}, {@code share}.
 *
 * @param home its root
 */
public record Distribution(Path home) {
    private static final boolean WINDOWS = System.getProperty("os.name").startsWith("Windows");

    /**
     * The one that the system property {@code runhv.home} names, else the variable {@code RUNHV_HOME}, else the one that
     * this class was loaded from.
     *
     * @throws RunhvException where there is none
     */
    public static Distribution find() {
        String named = System.getProperty("runhv.home", System.getenv().getOrDefault("RUNHV_HOME", ""));
        return at(named.isEmpty() ? homeOfThisJar() : Path.of(named));
    }

    /**
     * The one in a folder.
     *
     * @throws RunhvException where there is none
     */
    public static Distribution at(Path home) {
        Distribution distribution = new Distribution(home.toAbsolutePath());
        if (!Files.isExecutable(distribution.vmm())) {
            throw RunhvException.of(
                    ErrorCode.NOT_FOUND,
                    "find the distribution of runhv",
                    "There is no program " + distribution.vmm()
                            + ": set the system property runhv.home or the variable RUNHV_HOME to its folder, or say home()",
                    null,
                    null);
        }
        return distribution;
    }

    /** The program that is a micro-VM. */
    public Path vmm() {
        return home.resolve("bin").resolve(WINDOWS ? "runhv-vmm.exe" : "runhv-vmm");
    }

    /** The core as a library for Java. */
    public Path jniLibrary() {
        return home.resolve("lib").resolve(System.mapLibraryName("runhv-jni"));
    }

    /** The guest kernel where a bundle names none. */
    public Path kernel() {
        return kernel("minimal");
    }

    /** The kernel of this distribution with a name; it need not be there. */
    public Path kernel(String name) {
        return home.resolve("share/runhv/vmlinux-" + name);
    }

    /** The initial file system with the agent. */
    public Path initrd() {
        return home.resolve("share/runhv/agent.cpio");
    }

    /** The empty file system of scratch disks. */
    public Path scratch() {
        return home.resolve("share/runhv/scratch.ext4");
    }

    // lib/java/runhv-vmm.jar
    private static Path homeOfThisJar() {
        try {
            URI location = Distribution.class
                    .getProtectionDomain()
                    .getCodeSource()
                    .getLocation()
                    .toURI();
            return Path.of(location).resolve("../../..").normalize();
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }
}
