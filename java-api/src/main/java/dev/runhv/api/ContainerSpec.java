package dev.runhv.api;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A container to run. What is not said is as the image says, else as {@code docker run} has it. Made by
 * {@link #image(String)}; never changes. What can be checked without the image is checked by {@link Builder#build()}.
 */
public final class ContainerSpec {
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}");
    private static final Pattern SYSCTL = Pattern.compile("[A-Za-z0-9_-]+([./][A-Za-z0-9_.-]+)+");
    private static final int HOST_NAME_BYTES = 64; // Linux: __NEW_UTS_LEN

    private final String image;
    private final @Nullable String name;
    private final @Nullable String hostname;
    private final Process process;
    private final Resources resources;
    private final Map<String, String> sysctls;
    private final Map<String, String> annotations;
    private final @Nullable Path kernel;
    private final Engine engine;
    private final boolean stdin;
    private final Output stdout;
    private final Output stderr;

    private ContainerSpec(Builder builder) {
        image = builder.image;
        name = builder.name;
        hostname = builder.hostname;
        process = builder.process.build();
        resources = builder.resources.build();
        sysctls = Collections.unmodifiableMap(new LinkedHashMap<>(builder.sysctls));
        annotations = Collections.unmodifiableMap(new LinkedHashMap<>(builder.annotations));
        kernel = builder.kernel;
        engine = builder.engine;
        stdin = builder.stdin;
        stdout = builder.stdout;
        stderr = builder.stderr;
    }

    /**
     * Starts to describe a container of an image.
     *
     * @param reference {@code [REGISTRY/]NAME[:TAG]}, which is pulled where the store does not have it,
     *     {@code oci:DIR[:TAG]}, {@code oci-archive:FILE[:TAG]} or {@code docker-archive:FILE[:NAME]}
     * @return with nothing else said
     */
    public static Builder image(String reference) {
        return new Builder(reference);
    }

    /**
     * Starts to describe a container like this one.
     *
     * @return with all said that is said here
     */
    public Builder toBuilder() {
        return new Builder(this);
    }

    /**
     * The image.
     *
     * @return its reference
     */
    public String image() {
        return image;
    }

    /**
     * The container's name.
     *
     * @return empty: one is made up
     */
    public Optional<String> name() {
        return Optional.ofNullable(name);
    }

    /**
     * The host name inside.
     *
     * @return empty: the beginning of the container's name
     */
    public Optional<String> hostname() {
        return Optional.ofNullable(hostname);
    }

    /**
     * The first process.
     *
     * @return what is said about it
     */
    public Process process() {
        return process;
    }

    /**
     * What the container may use.
     *
     * @return what is said about it
     */
    public Resources resources() {
        return resources;
    }

    /**
     * Settings of the guest's kernel.
     *
     * @return values by their names, in the order in which they were said
     */
    public Map<String, String> sysctls() {
        return sysctls;
    }

    /**
     * What is written to the container for others to read: docker's labels.
     *
     * @return values by their names, in the order in which they were said
     */
    public Map<String, String> annotations() {
        return annotations;
    }

    /**
     * The guest's kernel.
     *
     * @return empty: runhv's own
     */
    public Optional<Path> kernel() {
        return Optional.ofNullable(kernel);
    }

    /**
     * What executes the guest.
     *
     * @return {@link Engine#AUTO}: as {@link Runhv.Builder#engine} says
     */
    public Engine engine() {
        return engine;
    }

    /**
     * Whether the standard input is connected.
     *
     * @return true where there is a terminal, too; false: it is at its end at once
     */
    public boolean stdin() {
        return stdin || process.terminal().isPresent();
    }

    /**
     * Where the standard output goes.
     *
     * @return {@link Output#keep()} where nothing is said
     */
    public Output stdout() {
        return stdout;
    }

    /**
     * Where the standard error goes; with a terminal that is only what runhv itself has to say.
     *
     * @return {@link Output#keep()} where nothing is said
     */
    public Output stderr() {
        return stderr;
    }

    /** The first process of a container. */
    public static final class Process {
        private final @Nullable List<String> entrypoint;
        private final @Nullable List<String> command;
        private final Map<String, String> environment;
        private final @Nullable String workingDirectory;
        private final @Nullable String user;
        private final @Nullable TerminalSize terminal;

        private Process(Builder builder) {
            entrypoint = builder.entrypoint;
            command = builder.command;
            environment = Collections.unmodifiableMap(new LinkedHashMap<>(builder.environment));
            workingDirectory = builder.workingDirectory;
            user = builder.user;
            terminal = builder.terminal;
        }

        /**
         * The program that is always run.
         *
         * @return empty: the image's own; an empty list: none
         */
        public Optional<List<String>> entrypoint() {
            return Optional.ofNullable(entrypoint);
        }

        /**
         * What follows the entry point in place of the image's own command.
         *
         * @return empty: the image's own
         */
        public Optional<List<String>> command() {
            return Optional.ofNullable(command);
        }

        /**
         * Is added to the image's own environment, and wins over it.
         *
         * @return values by their names, in the order in which they were said
         */
        public Map<String, String> environment() {
            return environment;
        }

        /**
         * The working directory.
         *
         * @return empty: the image's own
         */
        public Optional<String> workingDirectory() {
            return Optional.ofNullable(workingDirectory);
        }

        /**
         * The user.
         *
         * @return empty: the image's own
         */
        public Optional<String> user() {
            return Optional.ofNullable(user);
        }

        /**
         * The terminal that the process has.
         *
         * @return empty: none
         */
        public Optional<TerminalSize> terminal() {
            return Optional.ofNullable(terminal);
        }

        /** Collects what is said about a process. Not for several threads. */
        public static final class Builder extends ProcessSayings<Builder> {
            private static final String OPERATION = "describe the process of a container";

            private @Nullable List<String> entrypoint;
            private @Nullable List<String> command;

            private Builder() {}

            private Builder(Process process) {
                entrypoint = process.entrypoint;
                command = process.command;
                environment.putAll(process.environment);
                workingDirectory = process.workingDirectory;
                user = process.user;
                terminal = process.terminal;
            }

            @Override
            Builder self() {
                return this;
            }

            /**
             * The program that is always run, in place of the image's own.
             *
             * @param words none at all: no entry point, whatever the image says
             * @return this
             */
            public Builder entrypoint(String... words) {
                entrypoint = SpecCheck.words(words);
                return this;
            }

            /**
             * The program and its arguments, or, where there is an entry point, what follows that.
             *
             * @param words none at all: as the image says
             * @return this
             */
            public Builder command(String... words) {
                command = words.length == 0 ? null : SpecCheck.words(words);
                return this;
            }

            private Process build() {
                SpecCheck.texts(OPERATION, "entry point", entrypoint == null ? List.of() : entrypoint);
                SpecCheck.texts(OPERATION, "command", command == null ? List.of() : command);
                check(OPERATION);
                return new Process(this);
            }
        }
    }

    /** What a container may use of the host. */
    public static final class Resources {
        private final @Nullable Long memoryBytes;
        private final @Nullable Integer cpus;
        private final @Nullable Long scratchBytes;

        private Resources(Builder builder) {
            memoryBytes = builder.memoryBytes;
            cpus = builder.cpus;
            scratchBytes = builder.scratchBytes;
        }

        /**
         * Memory of the micro-VM.
         *
         * @return empty: 128 MiB
         */
        public OptionalLong memoryBytes() {
            return memoryBytes == null ? OptionalLong.empty() : OptionalLong.of(memoryBytes);
        }

        /**
         * Virtual processors.
         *
         * @return empty: 1
         */
        public OptionalInt cpus() {
            return cpus == null ? OptionalInt.empty() : OptionalInt.of(cpus);
        }

        /**
         * The disk for what the container writes.
         *
         * @return empty: it is kept in the micro-VM's memory
         */
        public OptionalLong scratchBytes() {
            return scratchBytes == null ? OptionalLong.empty() : OptionalLong.of(scratchBytes);
        }

        /** Collects what is said about resources. Not for several threads. */
        public static final class Builder {
            private static final String OPERATION = "describe the resources of a container";
            private static final long MEBIBYTE = 1L << 20;

            private @Nullable Long memoryBytes;
            private @Nullable Integer cpus;
            private @Nullable Long scratchBytes;

            private Builder() {}

            private Builder(Resources resources) {
                memoryBytes = resources.memoryBytes;
                cpus = resources.cpus;
                scratchBytes = resources.scratchBytes;
            }

            /**
             * Memory of the micro-VM.
             *
             * @param bytes 24 MiB to 512 GiB
             * @return this
             */
            public Builder memoryBytes(long bytes) {
                memoryBytes = bytes;
                return this;
            }

            /**
             * Memory of the micro-VM.
             *
             * @param mebibytes 24 to 524288
             * @return this
             */
            public Builder memoryMebibytes(int mebibytes) {
                return memoryBytes(mebibytes * MEBIBYTE);
            }

            /**
             * Virtual processors.
             *
             * @param cpus 1 to 64
             * @return this
             */
            public Builder cpus(int cpus) {
                this.cpus = cpus;
                return this;
            }

            /**
             * A disk for what the container writes.
             *
             * @param bytes 16 MiB to 1 TiB
             * @return this
             */
            public Builder scratchBytes(long bytes) {
                scratchBytes = bytes;
                return this;
            }

            private Resources build() {
                if (memoryBytes != null) {
                    SpecCheck.range(OPERATION, "memory in bytes", memoryBytes, 24 * MEBIBYTE, 512L << 30);
                }
                if (cpus != null) {
                    SpecCheck.range(OPERATION, "number of processors", cpus, 1, 64);
                }
                if (scratchBytes != null) {
                    SpecCheck.range(OPERATION, "scratch disk's size in bytes", scratchBytes, 16 * MEBIBYTE, 1L << 40);
                }
                return new Resources(this);
            }
        }
    }

    /** Collects what is said about a container. Not for several threads. */
    public static final class Builder {
        private static final String OPERATION = "describe a container";

        private final String image;
        private @Nullable String name;
        private @Nullable String hostname;
        private final Process.Builder process;
        private final Resources.Builder resources;
        private final Map<String, String> sysctls = new LinkedHashMap<>();
        private final Map<String, String> annotations = new LinkedHashMap<>();
        private @Nullable Path kernel;
        private Engine engine = Engine.AUTO;
        private boolean stdin;
        private Output stdout = Output.keep();
        private Output stderr = Output.keep();

        private Builder(String image) {
            this.image = Objects.requireNonNull(image, "image");
            process = new Process.Builder();
            resources = new Resources.Builder();
        }

        private Builder(ContainerSpec spec) {
            image = spec.image;
            name = spec.name;
            hostname = spec.hostname;
            process = new Process.Builder(spec.process);
            resources = new Resources.Builder(spec.resources);
            sysctls.putAll(spec.sysctls);
            annotations.putAll(spec.annotations);
            kernel = spec.kernel;
            engine = spec.engine;
            stdin = spec.stdin;
            stdout = spec.stdout;
            stderr = spec.stderr;
        }

        /**
         * The container's name.
         *
         * @param name {@code [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}}
         * @return this
         */
        public Builder name(String name) {
            this.name = Objects.requireNonNull(name, "name");
            return this;
        }

        /**
         * The host name inside.
         *
         * @param hostname 1 to 64 bytes
         * @return this
         */
        public Builder hostname(String hostname) {
            this.hostname = Objects.requireNonNull(hostname, "hostname");
            return this;
        }

        /**
         * Says something about the first process: {@code process(p -> p.user("www").environment("A", "b"))}.
         *
         * @param sayings is called at once
         * @return this
         */
        public Builder process(Consumer<? super Process.Builder> sayings) {
            sayings.accept(process);
            return this;
        }

        /**
         * Short for {@code process(p -> p.command(words))}.
         *
         * @param words the program and its arguments, or, where there is an entry point, what follows that
         * @return this
         */
        public Builder command(String... words) {
            process.command(words);
            return this;
        }

        /**
         * Says something about what the container may use: {@code resources(r -> r.memoryMebibytes(256).cpus(2))}.
         *
         * @param sayings is called at once
         * @return this
         */
        public Builder resources(Consumer<? super Resources.Builder> sayings) {
            sayings.accept(resources);
            return this;
        }

        /**
         * A setting of the guest's kernel.
         *
         * @param name for instance {@code net.ipv4.ip_forward}
         * @param value as it is written to the file of that name below {@code /proc/sys}
         * @return this
         */
        public Builder sysctl(String name, String value) {
            sysctls.put(Objects.requireNonNull(name, "name"), Objects.requireNonNull(value, "value"));
            return this;
        }

        /**
         * Something for others to read: {@code runhv state} shows it. To runhv it means nothing.
         *
         * @param name for instance {@code com.example.job}; not one of runhv's own, which begin with {@code dev.runhv.}
         * @param value any text without NUL
         * @return this
         */
        public Builder annotation(String name, String value) {
            annotations.put(Objects.requireNonNull(name, "name"), Objects.requireNonNull(value, "value"));
            return this;
        }

        /**
         * A kernel of one's own.
         *
         * @param image a vmlinux or bzImage
         * @return this
         */
        public Builder kernel(Path image) {
            kernel = Objects.requireNonNull(image, "image");
            return this;
        }

        /**
         * What executes the guest.
         *
         * @param engine {@link Engine#AUTO}: as {@link Runhv.Builder#engine} says
         * @return this
         */
        public Builder engine(Engine engine) {
            this.engine = Objects.requireNonNull(engine, "engine");
            return this;
        }

        /**
         * Connects the standard input; see {@link Container#stdin()}.
         *
         * @return this
         */
        public Builder stdin() {
            stdin = true;
            return this;
        }

        /**
         * Where the standard output goes.
         *
         * @param output {@link Output#keep()} where nothing is said
         * @return this
         */
        public Builder stdout(Output output) {
            stdout = Objects.requireNonNull(output, "output");
            return this;
        }

        /**
         * Where the standard error goes, with what runhv itself has to say about the container.
         *
         * @param output {@link Output#keep()} where nothing is said
         * @return this
         */
        public Builder stderr(Output output) {
            stderr = Objects.requireNonNull(output, "output");
            return this;
        }

        /**
         * Checks what was said.
         *
         * @return it, for ever
         * @throws RequestException that names what is out of its range or not of its form
         */
        public ContainerSpec build() {
            SpecCheck.require(
                    name == null || NAME.matcher(name).matches(),
                    OPERATION,
                    "The name may have 1 to 128 of the characters A-Z a-z 0-9 _ . -, first a letter, digit or _");
            if (hostname != null) {
                SpecCheck.text(OPERATION, "host name", hostname);
                SpecCheck.range(
                        OPERATION,
                        "host name's length in bytes",
                        hostname.getBytes(StandardCharsets.UTF_8).length,
                        1,
                        HOST_NAME_BYTES);
            }
            sysctls.forEach((key, value) -> {
                SpecCheck.require(
                        SYSCTL.matcher(key).matches(),
                        OPERATION,
                        "The sysctl \"" + key + "\" is not of the form net.ipv4.ip_forward");
                SpecCheck.text(OPERATION, "sysctl " + key, value);
            });
            annotations.forEach((key, value) -> {
                SpecCheck.require(
                        !key.isEmpty() && !key.startsWith("dev.runhv."),
                        OPERATION,
                        "The annotation \"" + key + "\" has no name, or one of runhv's own (dev.runhv.)");
                SpecCheck.text(OPERATION, "annotation", key);
                SpecCheck.text(OPERATION, "annotation " + key, value);
            });
            return new ContainerSpec(this);
        }
    }
}
