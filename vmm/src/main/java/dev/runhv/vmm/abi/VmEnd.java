package dev.runhv.vmm.abi;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.RunhvException;
import dev.runhv.api.Signal;
import java.nio.ByteBuffer;

/**
 * How a process ended, {@code runhv_exit_status}.
 *
 * @param kind {@code runhv_end}
 * @param value the exit status, the signal, or 125 to 127
 */
public record VmEnd(int kind, int value, int oomKills) {
    static final int SIZE = 20;
    static final int ALIGNMENT = 4;
    private static final int EXITED = 0;
    private static final int SIGNALED = 1;
    private static final int NOT_STARTED = 2;

    public static VmEnd read(ByteBuffer bytes) throws MalformedException {
        return read(StructReader.take(bytes));
    }

    static VmEnd read(StructReader in) {
        int kind = in.int32();
        int value = in.int32();
        in.int32(); // what a shell would show
        return new VmEnd(kind, value, in.int32());
    }

    /** @param error says why a program was not started */
    public ExitStatus status(VmError error) {
        return switch (kind) {
            case EXITED -> new ExitStatus.Exited(value);
            case SIGNALED -> new ExitStatus.Signaled(new Signal(value));
            case NOT_STARTED -> new ExitStatus.NotStarted(value, error.text());
            default ->
                throw RunhvException.of(
                        ErrorCode.INTERNAL, "read the end of a process", "Unknown end " + kind, null, null);
        };
    }
}
