package dev.runhv.api;

import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * A container to run. What is not said is as the image says; empty strings, empty lists and 0 mean "not said". Made by
 * {@link #image(String)}. The values are checked when the container starts.
 *
 * @param image {@code oci:DIR[:TAG]}, {@code oci-archive:FILE[:TAG]} or {@code docker-archive:FILE[:NAME]}
 * @param name of the container, {@code [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}}; where it is not said a new one is made up
 * @param entrypoint null: as the image says; empty: none, whatever the image says
 * @param command follows the entry point in place of the image's own command
 * @param environment is added to the image's own, in this order, and wins over it
 * @param workingDirectory absolute; made where it is missing
 * @param user {@code NAME}, {@code UID}, and after a colon a group the same way
 * @param hostname at most 64 bytes
 * @param memoryBytes of the micro-VM; 128 MiB where it is not said
 * @param cpus virtual processors, 1 to 64; 1 where it is not said
 * @param scratchBytes of a disk for what the container writes, 16 MiB to 1 TiB; in the micro-VM's memory where it is not said
 * @param kernel a vmlinux; null: runhv's own
 * @param engine what executes the guest
 * @param stdin whether the container's standard input is connected; where not it is at its end at once
 */
public record ContainerSpec(
        String image,
        String name,
        List<String> entrypoint,
        List<String> command,
        Map<String, String> environment,
        String workingDirectory,
        String user,
        String hostname,
        long memoryBytes,
        int cpus,
        long scratchBytes,
        Path kernel,
        Engine engine,
        boolean stdin) {
    public ContainerSpec {
        Objects.requireNonNull(image, "image");
        Objects.requireNonNull(name, "name");
        Objects.requireNonNull(workingDirectory, "workingDirectory");
        Objects.requireNonNull(user, "user");
        Objects.requireNonNull(hostname, "hostname");
        Objects.requireNonNull(engine, "engine");
        entrypoint = entrypoint == null ? null : List.copyOf(entrypoint);
        command = List.copyOf(command);
        // Map.copyOf would lose the order.
        environment = Collections.unmodifiableMap(new LinkedHashMap<>(environment));
    }

    /** Starts to describe a container of an image. */
    public static Builder image(String image) {
        return new Builder(image);
    }

    /** Collects what is said about a container. Not for several threads. */
    public static final class Builder {
        private final String image;
        private String name = "";
        private List<String> entrypoint;
        private List<String> command = List.of();
        private final Map<String, String> environment = new LinkedHashMap<>();
        private String workingDirectory = "";
        private String user = "";
        private String hostname = "";
        private long memoryBytes;
        private int cpus;
        private long scratchBytes;
        private Path kernel;
        private Engine engine = Engine.AUTO;
        private boolean stdin;

        private Builder(String image) {
            this.image = Objects.requireNonNull(image, "image");
        }

        public Builder name(String name) {
            this.name = name;
            return this;
        }

        /** None at all clears the image's own. */
        public Builder entrypoint(String... words) {
            this.entrypoint = List.of(words);
            return this;
        }

        /** The program and its arguments, or, where the image has an entry point, what follows that. */
        public Builder command(String... words) {
            this.command = List.of(words);
            return this;
        }

        public Builder environment(String name, String value) {
            environment.put(Objects.requireNonNull(name, "name"), Objects.requireNonNull(value, "value"));
            return this;
        }

        public Builder workingDirectory(String directory) {
            this.workingDirectory = directory;
            return this;
        }

        public Builder user(String user) {
            this.user = user;
            return this;
        }

        public Builder hostname(String hostname) {
            this.hostname = hostname;
            return this;
        }

        public Builder memoryBytes(long bytes) {
            this.memoryBytes = bytes;
            return this;
        }

        public Builder memoryMebibytes(int mebibytes) {
            return memoryBytes((long) mebibytes << 20);
        }

        public Builder cpus(int cpus) {
            this.cpus = cpus;
            return this;
        }

        public Builder scratchBytes(long bytes) {
            this.scratchBytes = bytes;
            return this;
        }

        public Builder kernel(Path vmlinux) {
            this.kernel = vmlinux;
            return this;
        }

        public Builder engine(Engine engine) {
            this.engine = engine;
            return this;
        }

        /** Connects the standard input; see {@link Container#stdin()}. */
        public Builder stdin() {
            this.stdin = true;
            return this;
        }

        public ContainerSpec build() {
            return new ContainerSpec(
                    image,
                    name,
                    entrypoint,
                    command,
                    environment,
                    workingDirectory,
                    user,
                    hostname,
                    memoryBytes,
                    cpus,
                    scratchBytes,
                    kernel,
                    engine,
                    stdin);
        }
    }
}
