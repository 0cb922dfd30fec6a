package dev.runhv.vmm.runtime;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import dev.runhv.api.ErrorCode;
import dev.runhv.api.RequestException;
import dev.runhv.vmm.content.Failures;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;

/** Writes the bundle that docs/bundle.md describes, with the defaults of {@code docker run}. */
final class BundleWriter {
    private static final String OCI_VERSION = "1.2.0";

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

    private record Mount(String destination, String type, String source, List<String> options) {}

    // Each after the one it lies in.
    private static final List<Mount> MOUNTS = List.of(
            new Mount("/proc", "proc", "proc", List.of("nosuid", "noexec", "nodev")),
            new Mount("/dev", "tmpfs", "tmpfs", List.of("nosuid", "strictatime", "mode=755", "size=65536k")),
            new Mount(
                    "/dev/pts",
                    "devpts",
                    "devpts",
                    List.of("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")),
            new Mount("/dev/shm", "tmpfs", "shm", List.of("nosuid", "noexec", "nodev", "mode=1777", "size=65536k")),
            new Mount("/dev/mqueue", "mqueue", "mqueue", List.of("nosuid", "noexec", "nodev")),
            new Mount("/sys", "sysfs", "sysfs", List.of("nosuid", "noexec", "nodev", "ro")),
            new Mount("/sys/fs/cgroup", "cgroup", "cgroup", List.of("nosuid", "noexec", "nodev", "relatime", "ro")));

    // The soft limit is low because programs close or poll everything below it; they may raise it.
    private static final long OPEN_FILES_SOFT = 1024;
    private static final long OPEN_FILES_HARD = 524288;

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
     * @param rootfs the root file system's EROFS image
     */
    static void write(BundleRequest request, ProcessPlan process, Path rootfs) {
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
            try (OutputStream out = Files.newOutputStream(unfinished);
                    JsonGenerator json =
                            new JsonFactory().createGenerator(out).setPrettyPrinter(new DefaultPrettyPrinter())) {
                writeConfig(json, request, process, rootfs);
            }
            Files.move(unfinished, finished, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            removeQuietly(unfinished, finished, bundle);
            throw Failures.of(BundleRequest.operation(request.id()), e);
        }
    }

    private static RequestException taken(BundleRequest request) {
        return new RequestException(
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

    private static void writeConfig(JsonGenerator json, BundleRequest request, ProcessPlan process, Path rootfs)
            throws IOException {
        json.writeStartObject();
        json.writeStringField("ociVersion", OCI_VERSION);
        json.writeStringField("hostname", process.hostname());
        json.writeObjectFieldStart("root");
        json.writeStringField("path", "rootfs");
        json.writeBooleanField("readonly", false);
        json.writeEndObject();
        writeProcess(json, process);
        writeMounts(json);
        writeLinux(json);
        writeVm(json, request, rootfs);
        writeAnnotations(json, request);
        json.writeEndObject();
    }

    private static void writeProcess(JsonGenerator json, ProcessPlan process) throws IOException {
        ResolvedUser user = process.user();
        json.writeObjectFieldStart("process");
        json.writeBooleanField("terminal", false);
        json.writeObjectFieldStart("user");
        json.writeNumberField("uid", user.uid());
        json.writeNumberField("gid", user.gid());
        json.writeArrayFieldStart("additionalGids");
        for (long gid : user.additionalGids()) {
            json.writeNumber(gid);
        }
        json.writeEndArray();
        json.writeEndObject();
        writeStrings(json, "args", process.arguments());
        writeStrings(json, "env", process.environment());
        json.writeStringField("cwd", process.cwd());
        json.writeObjectFieldStart("capabilities");
        for (String set : List.of("bounding", "effective", "permitted")) {
            writeStrings(json, set, CAPABILITIES);
        }
        json.writeEndObject();
        json.writeArrayFieldStart("rlimits");
        json.writeStartObject();
        json.writeStringField("type", "RLIMIT_NOFILE");
        json.writeNumberField("soft", OPEN_FILES_SOFT);
        json.writeNumberField("hard", OPEN_FILES_HARD);
        json.writeEndObject();
        json.writeEndArray();
        json.writeEndObject();
    }

    private static void writeMounts(JsonGenerator json) throws IOException {
        json.writeArrayFieldStart("mounts");
        for (Mount mount : MOUNTS) {
            json.writeStartObject();
            json.writeStringField("destination", mount.destination);
            json.writeStringField("type", mount.type);
            json.writeStringField("source", mount.source);
            writeStrings(json, "options", mount.options);
            json.writeEndObject();
        }
        json.writeEndArray();
    }

    private static void writeLinux(JsonGenerator json) throws IOException {
        json.writeObjectFieldStart("linux");
        json.writeArrayFieldStart("namespaces");
        for (String namespace : NAMESPACES) {
            json.writeStartObject();
            json.writeStringField("type", namespace);
            json.writeEndObject();
        }
        json.writeEndArray();
        writeStrings(json, "maskedPaths", MASKED_PATHS);
        writeStrings(json, "readonlyPaths", READ_ONLY_PATHS);
        json.writeEndObject();
    }

    private static void writeVm(JsonGenerator json, BundleRequest request, Path rootfs) throws IOException {
        json.writeObjectFieldStart("vm");
        if (request.kernel() != null) {
            json.writeObjectFieldStart("kernel");
            json.writeStringField("path", request.kernel().toString());
            json.writeEndObject();
        }
        json.writeObjectFieldStart("image");
        json.writeStringField("path", rootfs.toAbsolutePath().toString());
        json.writeStringField("format", "raw");
        json.writeEndObject();
        json.writeEndObject();
    }

    private static void writeAnnotations(JsonGenerator json, BundleRequest request) throws IOException {
        json.writeObjectFieldStart("annotations");
        json.writeStringField("dev.runhv.rootfs.type", "erofs");
        json.writeStringField("dev.runhv.stdin", Boolean.toString(request.stdin()));
        if (request.modules() != null) {
            json.writeStringField("dev.runhv.kernel.modules", request.modules().toString());
        }
        if (request.memoryBytes() != 0) {
            json.writeStringField("dev.runhv.memory", Long.toString(request.memoryBytes()));
        }
        if (request.cpus() != 0) {
            json.writeStringField("dev.runhv.cpus", Long.toString(request.cpus()));
        }
        if (request.scratchBytes() != 0) {
            json.writeStringField("dev.runhv.scratch", Long.toString(request.scratchBytes()));
        }
        if (!request.engine().isEmpty()) {
            json.writeStringField("dev.runhv.engine", request.engine());
        }
        json.writeEndObject();
    }

    private static void writeStrings(JsonGenerator json, String name, List<String> strings) throws IOException {
        json.writeArrayFieldStart(name);
        for (String string : strings) {
            json.writeString(string);
        }
        json.writeEndArray();
    }
}
