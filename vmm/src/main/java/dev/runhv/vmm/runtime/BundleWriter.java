package dev.runhv.vmm.runtime;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.api.TerminalSize;
import dev.runhv.vmm.bundle.Annotations;
import dev.runhv.vmm.bundle.Bundle;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.image.ImageConfig;
import dev.runhv.vmm.rootfs.PreparedRootfs;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/** Makes a bundle with the defaults of {@code docker run}. */
final class BundleWriter {
    // What docker grants; the inheritable set stays empty (CVE-2022-24769).
    private static final List<String> CAPABILITIES = List.of(
            "CAP_CHOWN",
            "CAP_DAC_OVERRIDE",
            "CAP_FSETID",
            "CAP_FOWNER",
            "CAP_MKNOD",
            "CAP_NET_RAW",
            "CAP_SETGID",
            "CAP_SETUID",
            "CAP_SETFCAP",
            "CAP_SETPCAP",
            "CAP_NET_BIND_SERVICE",
            "CAP_SYS_CHROOT",
            "CAP_KILL",
            "CAP_AUDIT_WRITE");

    private static final List<String> NAMESPACES = List.of("pid", "ipc", "uts", "mount", "network", "cgroup");

    private static final List<String> MASKED_PATHS = List.of(
            "/proc/acpi",
            "/proc/asound",
            "/proc/kcore",
            "/proc/keys",
            "/proc/latency_stats",
            "/proc/timer_list",
            "/proc/timer_stats",
            "/proc/sched_debug",
            "/proc/scsi",
            "/sys/firmware",
            "/sys/devices/virtual/powercap");

    private static final List<String> READ_ONLY_PATHS =
            List.of("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger");

    // Each after the one it lies in.
    private static final List<Bundle.Mount> MOUNTS = List.of(
            new Bundle.Mount("/proc", "proc", "proc", List.of("nosuid", "noexec", "nodev")),
            new Bundle.Mount("/dev", "tmpfs", "tmpfs", List.of("nosuid", "strictatime", "mode=755", "size=65536k")),
            new Bundle.Mount(
                    "/dev/pts",
                    "devpts",
                    "devpts",
                    List.of("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")),
            new Bundle.Mount(
                    "/dev/shm", "tmpfs", "shm", List.of("nosuid", "noexec", "nodev", "mode=1777", "size=65536k")),
            new Bundle.Mount("/dev/mqueue", "mqueue", "mqueue", List.of("nosuid", "noexec", "nodev")),
            new Bundle.Mount("/sys", "sysfs", "sysfs", List.of("nosuid", "noexec", "nodev", "ro")),
            new Bundle.Mount(
                    "/sys/fs/cgroup", "cgroup", "cgroup", List.of("nosuid", "noexec", "nodev", "relatime", "ro")));

    // The soft limit is low because programs close or poll everything below it; they may raise it.
    private static final Bundle.Limit OPEN_FILES = new Bundle.Limit("RLIMIT_NOFILE", 1024, 524288);

    // Every user may serve on any port and may ping: nobody else is in the network namespace.
    private static final Map<String, String> SYSCTLS = Map.of(
            "net.ipv4.ip_unprivileged_port_start", "0",
            "net.ipv4.ping_group_range", "0 2147483647");

    private BundleWriter() {}

    /** Complains of a folder that is there, before hard work is done for it. */
    static void checkAbsent(BundleRequest request) {
        if (Files.exists(request.bundle())) {
            throw taken(request);
        }
    }

    /**
     * Makes the folder and its {@code config.json}. Where it throws, it leaves nothing behind.
     *
     */
    static void write(BundleRequest request, ProcessPlan process, PreparedRootfs rootfs) {
        Path bundle = request.bundle();
        try {
            Files.createDirectories(bundle.getParent());
            // Fails where it exists: of two with one name, one gets it.
            Files.createDirectory(bundle);
        } catch (FileAlreadyExistsException e) {
            throw taken(request);
        } catch (IOException e) {
            throw Failures.of(BundleRequest.operation(request.id()), e);
        }
        Path unfinished = bundle.resolve("config.json.new");
        Path finished = bundle.resolve("config.json");
        try {
            bundle(request, process, rootfs).write(unfinished);
            Files.move(unfinished, finished, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            removeQuietly(unfinished, finished, bundle);
            throw Failures.of(BundleRequest.operation(request.id()), e);
        }
    }

    private static RunhvException taken(BundleRequest request) {
        return RunhvException.of(
                ErrorCode.CONFLICT,
                BundleRequest.operation(request.id()),
                "The name is taken: there is a bundle " + request.bundle(),
                null,
                null);
    }

    // The failure that led here is the one to tell.
    private static void removeQuietly(Path... paths) {
        for (Path path : paths) {
            try {
                Files.deleteIfExists(path);
            } catch (IOException e) {
                return;
            }
        }
    }

    private static Bundle bundle(BundleRequest request, ProcessPlan process, PreparedRootfs rootfs) {
        return new Bundle(
                process.hostname(),
                program(process, Optional.ofNullable(request.terminal())),
                MOUNTS,
                new Bundle.Linux(NAMESPACES, sysctls(request), MASKED_PATHS, READ_ONLY_PATHS),
                new Bundle.Vm(Optional.ofNullable(request.kernel()), rootfs.image()),
                annotations(request, rootfs));
    }

    /** The {@code process} object alone, of another process in a container. */
    static byte[] process(ProcessPlan process, Optional<TerminalSize> terminal) {
        return program(process, terminal).json();
    }

    private static Bundle.Program program(ProcessPlan process, Optional<TerminalSize> terminal) {
        ResolvedUser user = process.user();
        // What execve(2) gives root and takes from anybody else. The agent looks for the program and executes it with
        // these, so that others get at no file that is closed to them.
        List<String> held = user.uid() == 0 ? CAPABILITIES : List.of();
        return new Bundle.Program(
                process.arguments(),
                process.environment(),
                process.cwd(),
                new Bundle.User(user.uid(), user.gid(), user.additionalGids()),
                new Bundle.Capabilities(CAPABILITIES, held, held),
                List.of(OPEN_FILES),
                terminal);
    }

    private static Map<String, String> sysctls(BundleRequest request) {
        // runhv's own kernel begins with docker's values: setting them again would cost each start.
        Map<String, String> sysctls = new HashMap<>(request.kernel() == null ? Map.of() : SYSCTLS);
        sysctls.putAll(request.sysctls());
        return sysctls;
    }

    private static Map<String, String> annotations(BundleRequest request, PreparedRootfs rootfs) {
        ImageConfig image = rootfs.config();
        Map<String, String> annotations = new HashMap<>(request.annotations());
        annotations.put(Annotations.IMAGE, request.image());
        annotations.put(Annotations.ETC, Annotations.DOCKER);
        if (!image.stopSignal().isEmpty()) {
            annotations.put(Annotations.STOP_SIGNAL, image.stopSignal());
        }
        annotations.put(Annotations.ROOTFS_TYPE, Annotations.EROFS);
        if (!rootfs.layers().isEmpty()) {
            annotations.put(Annotations.ROOTFS_LAYERS, lines(rootfs.layers()));
        }
        annotations.put(Annotations.STDIN, Boolean.toString(request.stdin()));
        if (request.modules() != null) {
            annotations.put(Annotations.KERNEL_MODULES, request.modules().toString());
        }
        if (request.memoryBytes() != 0) {
            annotations.put(Annotations.MEMORY, Long.toString(request.memoryBytes()));
        }
        if (request.cpus() != 0) {
            annotations.put(Annotations.CPUS, Long.toString(request.cpus()));
        }
        if (request.scratchBytes() != 0) {
            annotations.put(Annotations.SCRATCH, Long.toString(request.scratchBytes()));
        }
        if (!request.engine().isEmpty()) {
            annotations.put(Annotations.ENGINE, request.engine());
        }
        return annotations;
    }

    private static String lines(List<Path> paths) {
        return paths.stream().map(path -> path.toAbsolutePath().toString()).collect(Collectors.joining("\n"));
    }
}
