package dev.runhv.vmm.process;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.util.Objects;

/** Both directions of a connection as streams, which end on their own. */
final class ConnectionStreams {
    private ConnectionStreams() {}

    static InputStream input(LocalConnection connection) {
        return new Input(connection);
    }

    /** @param shared whether somebody reads from it: closing the output then only says that no more comes */
    static OutputStream output(LocalConnection connection, boolean shared) {
        return new Output(connection, shared);
    }

    private static final class Input extends InputStream {
        private final LocalConnection connection;
        private boolean ended;

        Input(LocalConnection connection) {
            this.connection = connection;
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] to, int offset, int length) throws IOException {
            Objects.checkFromIndexSize(offset, length, to.length);
            if (length == 0 || ended) {
                return length == 0 ? 0 : -1;
            }
            int count = connection.read(ByteBuffer.wrap(to, offset, length));
            if (count < 0) {
                // Nobody else closes the connection of a stream that is read by its owner.
                ended = true;
                connection.close();
            }
            return count;
        }

        @Override
        public void close() throws IOException {
            connection.close();
        }
    }

    private static final class Output extends OutputStream {
        private final LocalConnection connection;
        private final boolean shared;

        Output(LocalConnection connection, boolean shared) {
            this.connection = connection;
            this.shared = shared;
        }

        @Override
        public void write(int b) throws IOException {
            write(new byte[] {(byte) b}, 0, 1);
        }

        @Override
        public void write(byte[] from, int offset, int length) throws IOException {
            ByteBuffer buffer = ByteBuffer.wrap(from, offset, length);
            while (buffer.hasRemaining()) {
                connection.write(buffer);
            }
        }

        @Override
        public void close() throws IOException {
            if (shared) {
                connection.endOutput();
            } else {
                connection.close();
            }
        }
    }
}
