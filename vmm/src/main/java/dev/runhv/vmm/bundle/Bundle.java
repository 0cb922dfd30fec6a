package dev.runhv.vmm.bundle;

import dev.runhv.api.TerminalSize;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What a container's {@code config.json} says. Empty strings, lists and maps are left out of the file.
 *
 * @param annotations by the names of {@link Annotations} or of anybody
 */
public record Bundle(
        String hostname, Program process, List<Mount> mounts, Linux linux, Vm vm, Map<String, String> annotations) {
    public Bundle {
        mounts = List.copyOf(mounts);
        annotations = Map.copyOf(annotations);
    }

    /** Writes the file, which must not exist. */
    public void write(Path file) throws IOException {
        ConfigWriter.write(file, this);
    }

    /**
     * A process.
     *
     * @param environment {@code NAME=value}
     * @param cwd absolute
     */
    public record Program(
            List<String> arguments,
            List<String> environment,
            String cwd,
            User user,
            Capabilities capabilities,
            List<Limit> limits,
            Optional<TerminalSize> terminal) {
        public Program {
            arguments = List.copyOf(arguments);
            environment = List.copyOf(environment);
            limits = List.copyOf(limits);
        }

        /** The {@code process} object alone, as another process of a container has it. */
        public byte[] json() {
            return ConfigWriter.json(this);
        }
    }

    public record User(long uid, long gid, List<Long> additionalGids) {
        public static final User ROOT = new User(0, 0, List.of());

        public User {
            additionalGids = List.copyOf(additionalGids);
        }
    }

    /** Sets of names as {@code CAP_CHOWN}. */
    public record Capabilities(List<String> bounding, List<String> effective, List<String> permitted) {
        /** As the guest's first process has them. */
        public static final Capabilities UNSAID = new Capabilities(List.of(), List.of(), List.of());

        public Capabilities {
            bounding = List.copyOf(bounding);
            effective = List.copyOf(effective);
            permitted = List.copyOf(permitted);
        }

        boolean isUnsaid() {
            return bounding.isEmpty() && effective.isEmpty() && permitted.isEmpty();
        }
    }

    /** @param type for instance {@code RLIMIT_NOFILE} */
    public record Limit(String type, long soft, long hard) {}

    public record Mount(String destination, String type, String source, List<String> options) {
        public Mount {
            options = List.copyOf(options);
        }
    }

    /**
     * @param namespaces types, as {@code pid}
     * @param sysctls values by name, as {@code net.ipv4.ip_forward}
     */
    public record Linux(
            List<String> namespaces,
            Map<String, String> sysctls,
            List<String> maskedPaths,
            List<String> readonlyPaths) {
        public static final Linux UNSAID = new Linux(List.of(), Map.of(), List.of(), List.of());

        public Linux {
            namespaces = List.copyOf(namespaces);
            sysctls = Map.copyOf(sysctls);
            maskedPaths = List.copyOf(maskedPaths);
            readonlyPaths = List.copyOf(readonlyPaths);
        }

        boolean isUnsaid() {
            return equals(UNSAID);
        }
    }

    /**
     * @param kernel empty: runhv's own
     * @param image of the root file system, EROFS
     */
    public record Vm(Optional<Path> kernel, Path image) {}
}
