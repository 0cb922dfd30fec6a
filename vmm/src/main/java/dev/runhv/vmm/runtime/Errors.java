package dev.runhv.vmm.runtime;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.api.TerminalSize;
import java.util.Optional;

/** Calls that come when they cannot be. */
final class Errors {
    private Errors() {}

    static RunhvException closed(String operation, String detail, Throwable cause) {
        return RunhvException.of(ErrorCode.CLOSED, operation, detail, null, cause);
    }

    static RunhvException conflict(String operation, String detail) {
        return RunhvException.of(ErrorCode.CONFLICT, operation, detail, null, null);
    }

    /** Of no effect where the process, or its container, has ended. */
    static void unlessEnded(Runnable request) {
        try {
            request.run();
        } catch (RunhvException e) {
            if (e.code() != ErrorCode.CLOSED && e.code() != ErrorCode.NOT_FOUND) {
                throw e;
            }
        }
    }

    /** @throws RunhvException where there is no terminal to be resized */
    static void checkTerminal(Optional<TerminalSize> terminal, String operation) {
        if (terminal.isEmpty()) {
            throw RunhvException.of(
                    ErrorCode.INVALID_ARGUMENT,
                    operation,
                    "It has none: say terminal() in the specification",
                    null,
                    null);
        }
    }
}
