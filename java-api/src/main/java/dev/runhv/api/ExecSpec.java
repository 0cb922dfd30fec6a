package dev.runhv.api;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Another process in a running container. What is not said is as for the container's first process. Made by
 * {@link #program(String, String...)}; never changes.
 */
public final class ExecSpec {
    private final List<String> command;
    private final Map<String, String> environment;
    private final @Nullable String workingDirectory;
    private final @Nullable String user;
    private final @Nullable TerminalSize terminal;
    private final boolean stdin;
    private final Output stdout;
    private final Output stderr;

    private ExecSpec(Builder builder) {
        command = builder.command;
        environment = Collections.unmodifiableMap(new LinkedHashMap<>(builder.environment));
        workingDirectory = builder.workingDirectory;
        user = builder.user;
        terminal = builder.terminal;
        stdin = builder.stdin;
        stdout = builder.stdout;
        stderr = builder.stderr;
    }

    /**
     * Starts to describe a process.
     *
     * @param program its path, or its name where it is to be looked for in {@code PATH}
     * @param arguments what follows
     * @return with nothing else said
     */
    public static Builder program(String program, String... arguments) {
        List<String> command = new ArrayList<>(SpecCheck.words(arguments));
        command.addFirst(Objects.requireNonNull(program, "program"));
        return new Builder(List.copyOf(command));
    }

    /**
     * Starts to describe a process like this one.
     *
     * @return with all said that is said here
     */
    public Builder toBuilder() {
        return new Builder(this);
    }

    /**
     * The program and its arguments.
     *
     * @return at least one
     */
    public List<String> command() {
        return command;
    }

    /**
     * Is added to the environment of the container's first process, and wins over it.
     *
     * @return values by their names, in the order in which they were said
     */
    public Map<String, String> environment() {
        return environment;
    }

    /**
     * The working directory.
     *
     * @return empty: that of the container's first process
     */
    public Optional<String> workingDirectory() {
        return Optional.ofNullable(workingDirectory);
    }

    /**
     * The user; names are those of the image's own {@code /etc/passwd} and {@code /etc/group}.
     *
     * @return empty: that of the container's first process
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

    /**
     * Whether the standard input is connected.
     *
     * @return true where there is a terminal, too
     */
    public boolean stdin() {
        return stdin || terminal != null;
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
     * Where the standard error goes; with a terminal there is none.
     *
     * @return {@link Output#keep()} where nothing is said
     */
    public Output stderr() {
        return stderr;
    }

    /** Collects what is said about a process. Not for several threads. */
    public static final class Builder extends ProcessSayings<Builder> {
        private static final String OPERATION = "describe another process of a container";

        private final List<String> command;
        private boolean stdin;
        private Output stdout = Output.keep();
        private Output stderr = Output.keep();

        private Builder(List<String> command) {
            this.command = command;
        }

        private Builder(ExecSpec spec) {
            command = spec.command;
            environment.putAll(spec.environment);
            workingDirectory = spec.workingDirectory;
            user = spec.user;
            terminal = spec.terminal;
            stdin = spec.stdin;
            stdout = spec.stdout;
            stderr = spec.stderr;
        }

        @Override
        Builder self() {
            return this;
        }

        /**
         * Connects the standard input; see {@link ExecProcess#stdin()}.
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
         * Where the standard error goes.
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
        public ExecSpec build() {
            SpecCheck.texts(OPERATION, "command", command);
            check(OPERATION);
            return new ExecSpec(this);
        }
    }
}
