package dev.runhv.vmm.abi;

import java.io.IOException;

/** Bytes of the other side are not what the interface says; the message says what is wrong with them. */
public final class MalformedException extends IOException {
    public MalformedException(String message) {
        super(message);
    }
}
