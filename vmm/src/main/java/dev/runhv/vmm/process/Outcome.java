package dev.runhv.vmm.process;

import dev.runhv.api.ExitStatus;
import dev.runhv.api.RunhvException;

/**
 * How a container ended.
 *
 * @param status null where the micro-VM failed
 * @param failure of the micro-VM, null where the container ended or was not started
 */
public record Outcome(ExitStatus status, RunhvException failure) {
    static Outcome of(ExitStatus status) {
        return new Outcome(status, null);
    }

    static Outcome of(RunhvException failure) {
        return new Outcome(null, failure);
    }

    /** @throws RunhvException where the micro-VM failed */
    public ExitStatus statusOrThrow() {
        if (failure != null) {
            // A new one each time: its stack is that of the thread that waits.
            throw RunhvException.of(
                    failure.code(),
                    failure.operation(),
                    failure.detail(),
                    failure.osError().orElse(null),
                    failure);
        }
        return status;
    }
}
