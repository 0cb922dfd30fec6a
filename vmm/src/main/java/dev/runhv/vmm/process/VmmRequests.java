package dev.runhv.vmm.process;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.api.Signal;
import dev.runhv.api.TerminalSize;
import dev.runhv.vmm.abi.MalformedException;
import dev.runhv.vmm.abi.StructWriter;
import dev.runhv.vmm.abi.VmState;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;

/** What a micro-VM's process can be asked by its channel: each a request, and an answer in time. For any thread. */
public final class VmmRequests {
    static final byte[] NOTHING = new byte[0];

    private final String id;
    private final CompletableFuture<ControlChannel> channel;
    private final Duration patience;

    /** @param patience how long is waited for an answer */
    VmmRequests(String id, CompletableFuture<ControlChannel> channel, Duration patience) {
        this.id = id;
        this.channel = channel;
        this.patience = patience;
    }

    /** @throws RunhvException CLOSED where it has ended */
    public VmState state() {
        return ask(ControlFrame.STATE, NOTHING, bytes -> checked(() -> VmState.read(bytes)));
    }

    /** @throws RunhvException CONFLICT where it was started before, CLOSED where it has ended */
    public void start() {
        ask(ControlFrame.START, NOTHING, bytes -> null);
    }

    /** @throws RunhvException CLOSED where it has ended */
    public void pause() {
        ask(ControlFrame.PAUSE, NOTHING, bytes -> null);
    }

    /** @throws RunhvException CLOSED where it has ended */
    public void resume() {
        ask(ControlFrame.RESUME, NOTHING, bytes -> null);
    }

    /**
     * @param number of the process; 0 is the first
     * @throws RunhvException CLOSED where it has ended, NOT_FOUND where the process has
     */
    public void signal(int number, Signal signal) {
        ask(ControlFrame.SIGNAL, signalOf(number, signal), bytes -> null);
    }

    /** Without waiting for the answer: it may have ended. */
    void killLater(int number) {
        var _ = channel.thenCompose(control ->
                        control.request(ControlFrame.SIGNAL, signalOf(number, Signal.KILL), bytes -> Boolean.TRUE))
                .exceptionally(failure -> Boolean.FALSE);
    }

    static byte[] signalOf(int number, Signal signal) {
        return new StructWriter(16).int32(number).int32(signal.number()).bytes();
    }

    /**
     * By the bundle's stop signal, and by KILL after the grace; returns at once.
     *
     * @throws RunhvException CLOSED where it has ended
     */
    public void stop(Duration grace) {
        long milliseconds = Math.clamp(millis(grace), 0, 0xffff_fffeL);
        ask(
                ControlFrame.STOP,
                new StructWriter(16).int32(0).int32((int) milliseconds).bytes(),
                bytes -> null);
    }

    private static long millis(Duration duration) {
        try {
            return duration.toMillis();
        } catch (ArithmeticException e) {
            return duration.isNegative() ? 0 : Long.MAX_VALUE;
        }
    }

    /**
     * @param number of the process; 0 is the first
     * @throws RunhvException CLOSED where it has ended, NOT_FOUND where the process has
     */
    public void resize(int number, TerminalSize size) {
        ask(
                ControlFrame.RESIZE,
                new StructWriter(16)
                        .int32(number)
                        .int16(size.columns())
                        .int16(size.rows())
                        .bytes(),
                bytes -> null);
    }

    interface Reading<T> {
        T read() throws MalformedException;
    }

    static <T> T checked(Reading<T> reading) {
        try {
            return reading.read();
        } catch (MalformedException e) {
            throw RunhvException.of(
                    ErrorCode.INTERNAL, "read an answer of a micro-VM's process", e.getMessage(), null, e);
        }
    }

    /** @return completes in time */
    <T> CompletableFuture<T> send(int type, byte[] payload, Function<ByteBuffer, T> taken) {
        return channel.exceptionallyCompose(e -> CompletableFuture.failedFuture(gone()))
                .thenCompose(control -> control.request(type, payload, taken))
                .orTimeout(patience.toMillis(), TimeUnit.MILLISECONDS);
    }

    RunhvException gone() {
        return RunhvException.of(
                ErrorCode.CLOSED, "ask the micro-VM of container " + id, "Its process has ended", null, null);
    }

    // Such an answer is never far: an interruption is for whoever waits for long, and kept for it.
    <T> T ask(int type, byte[] payload, Function<ByteBuffer, T> taken) {
        CompletableFuture<T> answer = send(type, payload, taken);
        boolean interrupted = false;
        try {
            while (true) {
                try {
                    return await(answer);
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** @throws RunhvException what failed, with the stack of the thread that asked */
    <T> T await(CompletableFuture<T> answer) throws InterruptedException {
        try {
            return answer.get();
        } catch (ExecutionException e) {
            Throwable cause = e.getCause() instanceof CompletionException wrapped ? wrapped.getCause() : e.getCause();
            if (cause instanceof RunhvException failure) {
                throw RunhvException.of(
                        failure.code(),
                        failure.operation(),
                        failure.detail(),
                        failure.osError().orElse(null),
                        failure);
            }
            if (cause instanceof TimeoutException) {
                throw RunhvException.of(
                        ErrorCode.HOST_FAILED,
                        "ask the micro-VM of container " + id,
                        "Its process has not answered for " + patience.toSeconds() + " s",
                        null,
                        null);
            }
            throw new IllegalStateException(cause);
        }
    }
}
