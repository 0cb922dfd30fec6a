package dev.runhv.vmm.process;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.natives.UnpackedNatives;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.CodeSource;
import java.util.Optional;

/**
 * The installed tree: {@code bin}, {@code lib}, {@code share}.
 *
 * @param home its root
 */
public record Distribution(Path home) {
    static final boolean WINDOWS = System.getProperty("os.name").startsWith("Windows");

    /**
     * The one that the system property {@code runhv.home} names, else the variable {@code RUNHV_HOME}, else the one that
     * this class was loaded from, else the one in jars among this program's, unpacked.
     *
     * @throws RunhvException where there is none
     */
    public static Distribution find() {
        String named = System.getProperty("runhv.home", System.getenv().getOrDefault("RUNHV_HOME", ""));
        if (!named.isEmpty()) {
            return at(Path.of(named));
        }
        return homeOfThisJar()
                .or(UnpackedNatives::find)
                .map(Distribution::at)
                .orElseThrow(() -> notFound("No jar has one for " + UnpackedNatives.platform()
                        + ": add the dependency dev.runhv:runhv, or set the system property runhv.home or the variable"
                        + " RUNHV_HOME to a distribution's folder, or say home()"));
    }

    /**
     * The one in a folder.
     *
     * @throws RunhvException where there is none
     */
    public static Distribution at(Path home) {
        Distribution distribution = new Distribution(home.toAbsolutePath());
        if (!Files.isExecutable(distribution.vmm())) {
            throw notFound("There is no program " + distribution.vmm()
                    + ": set the system property runhv.home or the variable RUNHV_HOME to its folder, or say home()");
        }
        return distribution;
    }

    private static RunhvException notFound(String detail) {
        return RunhvException.of(ErrorCode.NOT_FOUND, "find the distribution of runhv", detail, null, null);
    }

    /** The program that is a micro-VM. */
    public Path vmm() {
        return home.resolve("bin").resolve(WINDOWS ? "runhv-vmm.exe" : "runhv-vmm");
    }

    /** The program that people use; not there where the distribution came out of jars. */
    public Path command() {
        return home.resolve("bin").resolve(WINDOWS ? "runhv.exe" : "runhv");
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

    // lib/java/runhv-vmm.jar; a jar in a jar and an image of jlink have other locations than files.
    private static Optional<Path> homeOfThisJar() {
        CodeSource source = Distribution.class.getProtectionDomain().getCodeSource();
        if (source == null || !source.getLocation().getProtocol().equals("file")) {
            return Optional.empty();
        }
        try {
            Path home =
                    Path.of(source.getLocation().toURI()).resolve("../../..").normalize();
            return Files.isExecutable(new Distribution(home).vmm()) ? Optional.of(home) : Optional.empty();
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }
}
