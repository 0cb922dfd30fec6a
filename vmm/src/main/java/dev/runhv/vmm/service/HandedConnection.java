package dev.runhv.vmm.service;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ByteChannel;
import java.nio.channels.FileChannel;

/**
 * The standard output as a connection to whoever started this process: as a file, which the JVM has at once, where its first
 * socket takes a while to make. Nothing else may be written there until it is closed, and an inherited channel is closed after
 * it: the JDK makes the standard output the null device then.
 */
public final class HandedConnection implements ByteChannel {
    private final FileChannel in = new FileInputStream(FileDescriptor.out).getChannel();
    private final FileChannel out = new FileOutputStream(FileDescriptor.out).getChannel();

    @Override
    public int read(ByteBuffer bytes) throws IOException {
        return in.read(bytes);
    }

    @Override
    public int write(ByteBuffer bytes) throws IOException {
        return out.write(bytes);
    }

    @Override
    public boolean isOpen() {
        return in.isOpen() && out.isOpen();
    }

    @Override
    public void close() throws IOException {
        try (in;
                out) {
            // Both, whichever fails.
        }
    }
}
