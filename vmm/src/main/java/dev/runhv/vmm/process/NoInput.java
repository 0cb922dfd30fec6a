package dev.runhv.vmm.process;

import java.io.IOException;
import java.io.OutputStream;

/** The standard input of a process that has none: each write throws. */
final class NoInput extends OutputStream {
    @Override
    public void write(int b) throws IOException {
        throw new IOException("The standard input is not connected: say stdin() in the specification");
    }

    @Override
    public void write(byte[] bytes, int offset, int length) throws IOException {
        write(0);
    }
}
