package dev.runhv.vmm.service;

import dev.runhv.vmm.content.CallerEnvironment;
import dev.runhv.vmm.process.ControlFrame;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.channels.ByteChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/** One connection: one request. */
final class ServedClient implements Runnable {
    /** For the whole request to come, and for an answer to be read. */
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    private static final int FAILED = 1;

    private final ImageServer server;
    private final ByteChannel channel;

    ServedClient(ImageServer server, ByteChannel channel) {
        this.server = server;
        this.channel = channel;
    }

    @Override
    public void run() {
        try {
            serve();
        } catch (IOException | InterruptedException e) {
            // It has gone, or said what is no request: a command that is one works alone then.
        } finally {
            close();
            server.ended(this);
        }
    }

    private void close() {
        try {
            channel.close();
        } catch (IOException e) {
            // It is closed all the same.
        }
    }

    private Future<?> closeIfLate() {
        return server.timer().schedule(this::close, PATIENCE.toNanos(), TimeUnit.NANOSECONDS);
    }

    private void serve() throws IOException, InterruptedException {
        Future<?> late = closeIfLate();
        ServiceRequest asked = ServiceRequest.read(channel, server.identity());
        late.cancel(false);
        // No switch: one over types is made at run time, and the first client waits for it.
        if (asked instanceof ServiceRequest.Answer answer) {
            work(answer);
        } else if (asked instanceof ServiceRequest.Status) {
            reply(server.status());
        } else {
            server.stop();
            reply(Long.toString(ProcessHandle.current().pid()));
        }
    }

    private void reply(String text) throws InterruptedException {
        finish(new SentFrames(channel), text.getBytes(StandardCharsets.UTF_8), 0);
    }

    private void finish(SentFrames frames, byte[] output, int status) throws InterruptedException {
        Future<?> late = closeIfLate();
        frames.finish(output, status);
        late.cancel(false);
    }

    private void work(ServiceRequest.Answer asked) throws IOException, InterruptedException {
        ControlFrame.write(channel, ServiceFrame.TAKEN, 0, new byte[0]);
        server.begun();
        SentFrames frames = new SentFrames(channel);
        Thread worker = Thread.ofPlatform().name("runhv-service-request").start(() -> answer(asked, frames));
        awaitEnd();
        worker.interrupt();
        worker.join();
    }

    /** Until the client has gone or cancels, by whatever it says, or this side has closed the connection. */
    private void awaitEnd() {
        try {
            channel.read(ByteBuffer.allocate(1));
        } catch (IOException e) {
            return;
        }
    }

    private void answer(ServiceRequest.Answer asked, SentFrames frames) {
        ByteArrayOutputStream output = new ByteArrayOutputStream();
        int status = FAILED;
        try (PrintStream errors = new PrintStream(frames.errors(), true, StandardCharsets.UTF_8)) {
            try {
                status = CallerEnvironment.within(
                        asked.environment(),
                        () -> server.verbs().answer(new ByteArrayInputStream(asked.request()), output, errors));
            } catch (VirtualMachineError e) {
                // Who knows what else has failed for it: others end, and a new service begins with the next command.
                server.stop();
                errors.println("runhv: the image service has no memory left: " + e.getMessage());
            } catch (InterruptedException e) {
                // Its client has gone.
            } catch (Exception | Error e) {
                e.printStackTrace(errors);
            }
        }
        server.done();
        Thread.interrupted(); // by a client that went when all was done
        try {
            finish(frames, output.toByteArray(), status);
        } catch (InterruptedException e) {
            // It has gone now.
        }
        close();
    }
}
