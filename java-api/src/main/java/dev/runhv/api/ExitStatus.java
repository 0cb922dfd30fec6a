package dev.runhv.api;

/** How a container ended. */
public sealed interface ExitStatus {
    /** What a shell would show as {@code $?}: 0 to 255. */
    int code();

    /**
     * The program ended by itself.
     *
     * @param code 0 to 255
     */
    record Exited(int code) implements ExitStatus {}

    /**
     * A signal ended the program.
     *
     * @param signal its Linux number, 1 to 64
     */
    record Signaled(int signal) implements ExitStatus {
        @Override
        public int code() {
            return 128 + signal;
        }
    }

    /**
     * The program was not started.
     *
     * @param code 127 where there is no such program, 126 where it cannot be executed, 125 where the micro-VM could not be
     *     made or failed on its way
     * @param reason what is wrong, in words; empty where only the container's standard error tells it
     */
    record NotStarted(int code, String reason) implements ExitStatus {}

    /** Whether the program ended by itself and with 0. */
    default boolean isSuccess() {
        return this instanceof Exited(int code) && code == 0;
    }
}
