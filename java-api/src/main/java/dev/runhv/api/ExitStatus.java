package dev.runhv.api;

/** How a container, or another process in it, ended. There are no other ways: a {@code switch} may be exhaustive. */
public sealed interface ExitStatus {
    /**
     * What a shell would show as {@code $?}.
     *
     * @return 0 to 255
     */
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
     * @param signal the one
     */
    record Signaled(Signal signal) implements ExitStatus {
        @Override
        public int code() {
            return 128 + signal.number();
        }
    }

    /**
     * The micro-VM came up, and the program was not started in it.
     *
     * @param code 127 where there is no such program, 126 where it cannot be executed, 125 where what it needs could not
     *     be prepared: a mount, a user, a limit
     * @param reason what is wrong, in words
     */
    record NotStarted(int code, String reason) implements ExitStatus {}

    /**
     * Whether the program ended by itself and with 0.
     *
     * @return true where all went well
     */
    default boolean isSuccess() {
        return this instanceof Exited(int code) && code == 0;
    }
}
