package dev.runhv.vmm.service;

import dev.runhv.vmm.nativebind.NativeFailure;
import dev.runhv.vmm.nativebind.PipeNative;
import dev.runhv.vmm.nativebind.RunhvNative;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.channels.ByteChannel;
import java.nio.channels.ClosedChannelException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** Windows': a named pipe of the core's. Nobody can leave a listener or a lock to another process there, so this one makes both. */
public final class PipeListener implements ClientListener {
    private final long listener;

    /**
     * Listens from now on.
     *
     * @param folder is made, and held; only this user may enter it
     * @param library the core
     * @throws NativeFailure where another process holds it, or the host fails
     */
    public PipeListener(Path folder, Path library) {
        RunhvNative.load(library);
        listener = PipeNative.listen(folder.toString().getBytes(StandardCharsets.UTF_8));
    }

    /** The connection of whoever started this process, which is its standard output; that ends with this call. */
    public ByteChannel handed() throws IOException {
        ByteChannel connection = new PipeChannel(PipeNative.standardOutput());
        new FileOutputStream(FileDescriptor.out).close();
        return connection;
    }

    @Override
    public void open() {}

    @Override
    public ByteChannel accept() throws IOException {
        try {
            long connection = PipeNative.accept(listener);
            if (connection == 0) {
                throw new ClosedChannelException();
            }
            return new PipeChannel(connection);
        } catch (NativeFailure e) {
            throw new IOException(e.toRunhvException());
        }
    }

    @Override
    public void withdraw() {
        try {
            PipeNative.withdraw(listener);
        } catch (NativeFailure e) {
            return; // a folder that stays is taken over by the next service, or swept
        }
    }

    @Override
    public void close() {
        PipeNative.closeListener(listener);
    }
}
