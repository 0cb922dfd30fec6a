package dev.runhv.vmm.content;

import java.io.IOException;

/** A store would have more than it may: as a disk that is full, but by the will of its owner. */
public final class QuotaExceededException extends IOException {
    QuotaExceededException(String message) {
        super(message);
    }
}
