package dev.runhv.vmm.process;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.abi.MalformedException;
import dev.runhv.vmm.abi.StructReader;
import dev.runhv.vmm.abi.VmError;
import dev.runhv.vmm.abi.VmEvent;
import dev.runhv.vmm.abi.VmStatistics;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;

/**
 * The launcher's end of the control channel of one micro-VM: requests and their answers, and events. One thread reads and
 * one writes, so that no caller who is interrupted closes it for all others. May be used by any thread.
 */
final class ControlChannel implements Closeable {
    /** Is told what comes, by the reading thread: it must not wait for an answer. */
    interface Listener {
        void event(VmEvent event);

        /** The last numbers, before the end. */
        void statistics(VmStatistics statistics);

        /** The last call. @param why null where the other side closed the channel, or is gone */
        void closed(RunhvException why);
    }

    private final String id;
    private final LocalConnection connection;
    private final Listener listener;
    private final ExecutorService writer =
            Executors.newSingleThreadExecutor(Thread.ofVirtual().factory());
    private final AtomicInteger requests = new AtomicInteger();
    private final Map<Integer, CompletableFuture<ByteBuffer>> pending = new ConcurrentHashMap<>();
    private final CompletableFuture<Void> hello = new CompletableFuture<>();
    private volatile boolean closed;

    /** Says HELLO, and begins to read. */
    ControlChannel(String id, LocalConnection connection, Listener listener) {
        this.id = id;
        this.connection = connection;
        this.listener = listener;
        write(ControlFrame.HELLO, 0, ControlFrame.hello(ControlFrame.WANTS_EVENTS));
        Thread.ofVirtual().name("runhv-control-" + id).start(this::readAll);
    }

    /** Is complete when the other side has answered. */
    CompletableFuture<Void> hello() {
        return hello;
    }

    /**
     * Sends a request.
     *
     * @param taken makes the result of the answer; called by the reading thread, before it reads on
     * @return fails with a {@link RunhvException}: that of the answer, or CLOSED where none will come
     */
    <T> CompletableFuture<T> request(int type, byte[] payload, Function<ByteBuffer, T> taken) {
        int number = requests.incrementAndGet();
        CompletableFuture<ByteBuffer> answer = new CompletableFuture<>();
        CompletableFuture<T> result = answer.thenApply(taken);
        pending.put(number, answer);
        write(type, number, payload);
        // Those that were there when it closed have failed; one that came after that is found here.
        if (closed && pending.remove(number) != null) {
            answer.completeExceptionally(gone());
        }
        return result;
    }

    private void write(int type, int number, byte[] payload) {
        try {
            writer.execute(() -> {
                try {
                    ControlFrame.write(connection, type, number, payload);
                } catch (IOException e) {
                    // The reader meets the same end, after what was still sent.
                    return;
                }
            });
        } catch (RejectedExecutionException e) {
            return; // it was closed meanwhile
        }
    }

    private void readAll() {
        RunhvException why = null;
        try {
            ControlFrame first = ControlFrame.read(connection);
            if (first != null) {
                checkHello(first);
                hello.complete(null);
                for (ControlFrame frame = ControlFrame.read(connection);
                        frame != null;
                        frame = ControlFrame.read(connection)) {
                    take(frame);
                }
            }
        } catch (MalformedException e) {
            why = RunhvException.of(
                    ErrorCode.INTERNAL, "follow the micro-VM of container " + id, e.getMessage(), null, e);
        } catch (IOException e) {
            why = null; // reset, or closed by us
        } finally {
            closed = true;
            close();
            RunhvException failure = why == null ? gone() : why;
            hello.completeExceptionally(failure);
            for (Integer number : pending.keySet()) {
                CompletableFuture<ByteBuffer> answer = pending.remove(number);
                if (answer != null) {
                    answer.completeExceptionally(failure);
                }
            }
            listener.closed(why);
        }
    }

    private RunhvException gone() {
        return RunhvException.of(
                ErrorCode.CLOSED, "ask the micro-VM of container " + id, "Its process has ended", null, null);
    }

    private static void checkHello(ControlFrame frame) throws MalformedException {
        if (frame.type() != (ControlFrame.HELLO | ControlFrame.ANSWER)) {
            throw new MalformedException("It did not say HELLO, but a frame of type " + frame.type());
        }
        int version = StructReader.take(frame.payload()).int32();
        if (version != ControlFrame.VERSION) {
            throw new MalformedException("Its control channel has version " + Integer.toUnsignedString(version)
                    + ", not " + ControlFrame.VERSION + ": jars and runhv-vmm are of two distributions");
        }
    }

    private void take(ControlFrame frame) throws MalformedException {
        switch (frame.type()) {
            case ControlFrame.EVENT -> listener.event(VmEvent.read(frame.payload()));
            case ControlFrame.ERROR -> {
                VmError error = VmError.read(frame.payload());
                answered(frame).completeExceptionally(error.toException());
            }
            default -> {
                if ((frame.type() & ControlFrame.ANSWER) == 0) {
                    throw new MalformedException("A frame of unknown type " + frame.type());
                }
                if (frame.request() == 0) {
                    unasked(frame);
                } else {
                    answered(frame).complete(frame.payload());
                }
            }
        }
    }

    // What a newer version tells of itself is passed over.
    private void unasked(ControlFrame frame) throws MalformedException {
        if (frame.type() == (ControlFrame.STATISTICS | ControlFrame.ANSWER)) {
            listener.statistics(VmStatistics.read(frame.payload()));
        }
    }

    private CompletableFuture<ByteBuffer> answered(ControlFrame frame) throws MalformedException {
        CompletableFuture<ByteBuffer> answer = pending.remove(frame.request());
        if (answer == null) {
            throw new MalformedException(
                    "An answer to request " + Integer.toUnsignedString(frame.request()) + ", which was not made");
        }
        return answer;
    }

    @Override
    public void close() {
        writer.shutdown();
        try {
            connection.close();
        } catch (IOException e) {
            return; // nothing is left to be lost
        }
    }
}
