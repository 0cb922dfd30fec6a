package dev.runhv.vmm.content;

import java.io.IOException;

/** Bytes that were read are not what their format demands; the message says what is wrong with them. */
public final class CorruptInputException extends IOException {
    public CorruptInputException(String message) {
        super(message);
    }

    public CorruptInputException(String message, Throwable cause) {
        super(message, cause);
    }
}
