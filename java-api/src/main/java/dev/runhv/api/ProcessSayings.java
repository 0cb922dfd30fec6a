package dev.runhv.api;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What can be said about a container's first process and about others alike. Not for several threads.
 *
 * @param <B> the builder that says it
 */
abstract sealed class ProcessSayings<B> permits ContainerSpec.Process.Builder, ExecSpec.Builder {
    final Map<String, String> environment = new LinkedHashMap<>();

    @Nullable
    String workingDirectory;

    @Nullable
    String user;

    @Nullable
    TerminalSize terminal;

    abstract B self();

    /**
     * A variable of the environment.
     *
     * @param name without {@code =}
     * @param value any text without NUL
     * @return this
     */
    public B environment(String name, String value) {
        environment.put(Objects.requireNonNull(name, "name"), Objects.requireNonNull(value, "value"));
        return self();
    }

    /**
     * The working directory.
     *
     * @param directory absolute; for a container's first process it is made where it is missing
     * @return this
     */
    public B workingDirectory(String directory) {
        workingDirectory = Objects.requireNonNull(directory, "directory");
        return self();
    }

    /**
     * The user.
     *
     * @param user {@code NAME} or {@code UID}, and after a colon a group the same way
     * @return this
     */
    public B user(String user) {
        this.user = Objects.requireNonNull(user, "user");
        return self();
    }

    /**
     * Gives the process a terminal, on which its input and its outputs are: what it writes comes as its standard output. See
     * {@link Container#resize} and {@link ExecProcess#resize}.
     *
     * @param columns 1 to 65535
     * @param rows 1 to 65535
     * @return this
     */
    public B terminal(int columns, int rows) {
        terminal = new TerminalSize(columns, rows);
        return self();
    }

    final void check(String operation) {
        SpecCheck.environment(operation, environment);
        if (workingDirectory != null) {
            SpecCheck.workingDirectory(operation, workingDirectory);
        }
        if (user != null) {
            SpecCheck.user(operation, user);
        }
    }
}
