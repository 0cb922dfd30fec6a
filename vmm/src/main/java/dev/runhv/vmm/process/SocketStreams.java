package dev.runhv.vmm.process;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SocketChannel;
import java.util.Objects;

/** Both directions of a socket as streams, which end on their own: closing the output only says that no more comes. */
final class SocketStreams {
    private SocketStreams() {}

    static InputStream input(SocketChannel socket) {
        return new Input(socket);
    }

    static OutputStream output(SocketChannel socket) {
        return new Output(socket);
    }

    private static final class Input extends InputStream {
        private final SocketChannel socket;
        private boolean ended;

        Input(SocketChannel socket) {
            this.socket = socket;
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
            int count = socket.read(ByteBuffer.wrap(to, offset, length));
            if (count < 0) {
                // Nobody else closes the socket of a stream that is read by its owner.
                ended = true;
                socket.close();
            }
            return count;
        }

        @Override
        public void close() throws IOException {
            socket.close();
        }
    }

    private static final class Output extends OutputStream {
        private final SocketChannel socket;

        Output(SocketChannel socket) {
            this.socket = socket;
        }

        @Override
        public void write(int b) throws IOException {
            write(new byte[] {(byte) b}, 0, 1);
        }

        @Override
        public void write(byte[] from, int offset, int length) throws IOException {
            ByteBuffer buffer = ByteBuffer.wrap(from, offset, length);
            while (buffer.hasRemaining()) {
                socket.write(buffer);
            }
        }

        @Override
        public void close() throws IOException {
            try {
                socket.shutdownOutput();
            } catch (ClosedChannelException e) {
                return; // the process has ended
            }
        }
    }
}
