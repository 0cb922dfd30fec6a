package dev.runhv.vmm.service;

import dev.runhv.vmm.process.ControlFrame;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.WritableByteChannel;
import java.util.Arrays;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;

/**
 * Writes frames to a client on a thread of its own. A thread that works for the client may be interrupted, which would close
 * a channel that it writes to; and it may hold locks that others wait for, so that it must not wait for a client.
 */
final class SentFrames {
    /** What a client can be behind, of at most {@link #PART} bytes each. */
    private static final int WAITING = 128;

    private static final int PART = 16 << 10;

    private record Frame(int type, byte[] payload) {}

    private final BlockingQueue<Frame> waiting = new ArrayBlockingQueue<>(WAITING);
    private final Thread writer;

    SentFrames(WritableByteChannel channel) {
        writer = Thread.ofPlatform().daemon().name("runhv-service-writer").start(() -> write(channel));
    }

    private void write(WritableByteChannel channel) {
        boolean gone = false;
        try {
            Frame frame;
            do {
                frame = waiting.take();
                if (!gone) {
                    try {
                        ControlFrame.write(channel, frame.type, 0, frame.payload);
                    } catch (IOException e) {
                        gone = true; // what is still said is said to nobody
                    }
                }
            } while (frame.type != ServiceFrame.END);
        } catch (InterruptedException e) {
            return; // its client has gone, and will not read the end
        }
    }

    /** What a person reads meanwhile; it is dropped where the client does not read. */
    OutputStream errors() {
        return new OutputStream() {
            @Override
            public void write(int one) {
                write(new byte[] {(byte) one}, 0, 1);
            }

            @Override
            public void write(byte[] bytes, int offset, int length) {
                for (int at = offset; at < offset + length; at += PART) {
                    boolean _ = waiting.offer(new Frame(
                            ServiceFrame.ERRORS, Arrays.copyOfRange(bytes, at, Math.min(at + PART, offset + length))));
                }
            }
        };
    }

    /** The answer and the end, and waits until the client has them or has gone. Nothing is written once it has returned. */
    void finish(byte[] output, int status) throws InterruptedException {
        try {
            for (int at = 0; at < output.length; at += PART) {
                waiting.put(new Frame(
                        ServiceFrame.OUTPUT, Arrays.copyOfRange(output, at, Math.min(at + PART, output.length))));
            }
            waiting.put(new Frame(ServiceFrame.END, new byte[] {(byte) status}));
            writer.join();
        } finally {
            writer.interrupt();
        }
    }
}
