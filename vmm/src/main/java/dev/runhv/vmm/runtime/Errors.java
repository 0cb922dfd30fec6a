package dev.runhv.vmm.runtime;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.Failures;
import java.io.IOException;

/** Failures with the host's files that have nothing to do with an image. */
final class Errors {
    private Errors() {}

    static RunhvException of(String operation, IOException e) {
        // The same kinds and words, without the type that would blame the image.
        RunhvException failure = Failures.of(operation, e);
        return RunhvException.of(failure.code(), operation, failure.detail(), null, e);
    }
}
