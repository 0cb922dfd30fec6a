package dev.runhv.vmm.service;

import dev.runhv.vmm.nativebind.PipeNative;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ByteChannel;

/** A connection by a named pipe of the core's. An interrupt does not end what waits, as {@link #close} does. */
final class PipeChannel implements ByteChannel {
    private static final int MOST = 64 << 10; // of one call

    private final long connection;
    private volatile boolean open = true;

    /** @param connection of {@link PipeNative}, which is closed by this object from now on */
    PipeChannel(long connection) {
        this.connection = connection;
    }

    @Override
    public int read(ByteBuffer to) {
        if (!to.hasRemaining()) {
            return 0;
        }
        byte[] bytes = new byte[Math.min(to.remaining(), MOST)];
        int count = PipeNative.read(connection, bytes);
        if (count > 0) {
            to.put(bytes, 0, count);
        }
        return count;
    }

    @Override
    public int write(ByteBuffer from) throws IOException {
        byte[] bytes = new byte[Math.min(from.remaining(), MOST)];
        from.get(bytes);
        if (!PipeNative.write(connection, bytes)) {
            throw new IOException("The other side has closed");
        }
        return bytes.length;
    }

    @Override
    public boolean isOpen() {
        return open;
    }

    @Override
    public void close() {
        open = false;
        PipeNative.close(connection);
    }
}
