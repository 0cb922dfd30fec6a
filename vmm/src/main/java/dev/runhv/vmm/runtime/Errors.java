package dev.runhv.vmm.runtime;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.image.Failures;
import dev.runhv.vmm.image.ImageException;
import java.io.IOException;

/** Turns the failures of the parts into those of the API. */
final class Errors {
    private Errors() {}

    static RunhvException of(ImageException e) {
        return new dev.runhv.api.ImageException(code(e.code()), e.operation(), e.getMessage(), null, e);
    }

    /** A failure with the host's files. */
    static RunhvException of(String operation, IOException e) {
        ImageException failure = Failures.of(operation, e);
        return RunhvException.of(code(failure.code()), operation, failure.getMessage(), null, e);
    }

    private static ErrorCode code(ImageException.Code code) {
        return switch (code) {
            case INVALID_ARGUMENT -> ErrorCode.INVALID_ARGUMENT;
            case NOT_FOUND -> ErrorCode.NOT_FOUND;
            case CORRUPT_INPUT -> ErrorCode.CORRUPT_INPUT;
            case UNSUPPORTED -> ErrorCode.UNSUPPORTED;
            case ACCESS_DENIED -> ErrorCode.ACCESS_DENIED;
            case NO_SPACE -> ErrorCode.NO_SPACE;
            case HOST_FAILED -> ErrorCode.HOST_FAILED;
        };
    }
}
