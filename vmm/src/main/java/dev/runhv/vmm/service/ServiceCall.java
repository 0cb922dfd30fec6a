package dev.runhv.vmm.service;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.process.ControlFrame;
import dev.runhv.vmm.process.LocalConnection;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/** One request to the image service, from the side of who asks (docs/service.md). */
final class ServiceCall {
    private static final String OPERATION = "ask the image service";
    private static final long CLEANING_SECONDS = 10;
    private static final int ANSWER_BYTES = 1 << 20;
    private static final int LINE_BYTES = 1 << 16;

    private final LocalConnection channel;
    private final Consumer<String> listener;
    private final ByteArrayOutputStream output = new ByteArrayOutputStream();
    private final ByteArrayOutputStream line = new ByteArrayOutputStream();
    private RuntimeException thrown;

    private ServiceCall(LocalConnection channel, Consumer<String> listener) {
        this.channel = channel;
        this.listener = listener;
    }

    /**
     * @param listener is given each line of what it says meanwhile, by a thread of its own; what it throws cancels the request
     *     and is thrown here
     * @return the answer, an object of docs/prepare.md
     * @throws RunhvException where it cannot be asked, or goes before its answer
     * @throws InterruptedException when the thread is interrupted; the service has cleaned up, unless that took too long
     */
    static byte[] answer(ServicePlace place, byte[] request, Consumer<String> listener) throws InterruptedException {
        byte[] environment = environment();
        if (Math.max(environment.length, request.length) > ControlFrame.MAX_PAYLOAD) {
            throw Failures.unsupported(OPERATION, "The environment, or what is asked for, is longer than 1 MiB");
        }
        try (LocalConnection channel = LocalConnection.connect(place.socket())) {
            if (!channel.isOurs()) {
                throw Failures.of(ErrorCode.ACCESS_DENIED, OPERATION, "It is another user's");
            }
            ControlFrame.write(channel, ServiceFrame.HELLO, 0, place.identity().getBytes(StandardCharsets.UTF_8));
            ControlFrame.write(channel, ServiceFrame.ENVIRONMENT, 0, environment);
            ControlFrame.write(channel, ServiceFrame.REQUEST, 0, request);
            return new ServiceCall(channel, listener).await();
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw RunhvException.of(
                    ErrorCode.HOST_FAILED,
                    OPERATION,
                    "It has gone, or takes no more than it has (%s): ask again".formatted(e.getMessage()),
                    null,
                    e);
        }
    }

    private static byte[] environment() {
        return System.getenv().entrySet().stream()
                .map(variable -> variable.getKey() + "=" + variable.getValue() + "\0")
                .collect(Collectors.joining())
                .getBytes(StandardCharsets.UTF_8);
    }

    /** A thread of its own reads: an interrupt would close the channel of the one that waits, and nothing could be awaited. */
    private byte[] await() throws IOException, InterruptedException {
        FutureTask<byte[]> reading = new FutureTask<>(this::read);
        Thread.ofVirtual().name("runhv-service-call").start(reading);
        try {
            return reading.get();
        } catch (ExecutionException e) {
            switch (e.getCause()) {
                case IOException failure -> throw failure;
                case RuntimeException failure -> throw failure;
                case Throwable failure -> throw new IllegalStateException(failure);
            }
        } catch (InterruptedException e) {
            cancel(reading);
            throw e;
        }
    }

    private void cancel(FutureTask<byte[]> reading) throws InterruptedException {
        try {
            ControlFrame.write(channel, ServiceFrame.CANCEL, 0, new byte[0]);
            reading.get(CLEANING_SECONDS, TimeUnit.SECONDS);
        } catch (IOException | ExecutionException | TimeoutException e) {
            // It has ended, or has gone; or it takes too long, and sees that we go.
            return;
        }
    }

    private byte[] read() throws IOException {
        boolean taken = false;
        while (true) {
            ControlFrame frame = ControlFrame.read(channel, ControlFrame.MAX_PAYLOAD);
            if (frame == null) {
                throw new EOFException(taken ? "what was begun is whole or gone" : "it did not begin");
            }
            byte[] payload = frame.payload().array();
            switch (frame.type()) {
                case ServiceFrame.TAKEN -> taken = true;
                case ServiceFrame.ERRORS -> tell(payload);
                case ServiceFrame.OUTPUT -> append(output, payload, ANSWER_BYTES);
                case ServiceFrame.END -> {
                    if (thrown != null) {
                        throw thrown;
                    }
                    return output.toByteArray();
                }
                default -> throw new IOException("It says a frame of the unknown type " + frame.type());
            }
        }
    }

    private static void append(ByteArrayOutputStream to, byte[] bytes, int most) throws IOException {
        if (to.size() + bytes.length > most) {
            throw new IOException("It says more than %d bytes".formatted(most));
        }
        to.writeBytes(bytes);
    }

    private void tell(byte[] bytes) throws IOException {
        for (byte each : bytes) {
            if (each != '\n') {
                append(line, new byte[] {each}, LINE_BYTES);
            } else {
                tell(line.toString(StandardCharsets.UTF_8));
                line.reset();
            }
        }
    }

    private void tell(String text) throws IOException {
        if (thrown != null) {
            return;
        }
        try {
            listener.accept(text);
        } catch (RuntimeException e) {
            thrown = e;
            ControlFrame.write(channel, ServiceFrame.CANCEL, 0, new byte[0]);
        }
    }
}
