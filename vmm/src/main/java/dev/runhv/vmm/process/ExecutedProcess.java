package dev.runhv.vmm.process;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.Output;
import dev.runhv.api.RunhvException;
import dev.runhv.api.Signal;
import dev.runhv.api.TerminalSize;
import dev.runhv.vmm.abi.StructWriter;
import dev.runhv.vmm.abi.VmError;
import dev.runhv.vmm.abi.VmEvent;
import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.concurrent.CompletableFuture;

/** Another process in a container: its streams, each a connection of its own, and its end. */
public final class ExecutedProcess {
    private static final SecureRandom RANDOM = new SecureRandom();
    private static final int STREAMS = 3;
    private static final int END_NONE = 0;
    private static final int END_STREAM = 2;
    private static final int FLAG_TERMINAL = 1;
    private static final int START_BYTES = 56;

    private final VmmProcess vmm;
    private final ExecStreams wishes;
    private final LocalConnection[] connections = new LocalConnection[STREAMS]; // null where there is none
    private final long[] tokens = new long[STREAMS];
    private final CompletableFuture<Void> inPlace = new CompletableFuture<>();
    private final CompletableFuture<ExitStatus> ended = new CompletableFuture<>();
    private OutputStream stdin = new NoInput();
    private OutputDrain stdout = OutputDrain.none();
    private OutputDrain stderr = OutputDrain.none();
    private volatile int number; // 0 until it is known
    private boolean unwanted; // guarded by this

    private ExecutedProcess(VmmProcess vmm, ExecStreams wishes) {
        this.vmm = vmm;
        this.wishes = wishes;
    }

    static ExecutedProcess connect(VmmProcess vmm, String id, Path control, ExecStreams wishes) {
        ExecutedProcess process = new ExecutedProcess(vmm, wishes);
        boolean terminal = wishes.terminal().isPresent();
        try {
            boolean[] wanted = {
                wishes.stdin() || terminal,
                !terminal && !(wishes.stdout() instanceof Output.Discard),
                !terminal && !(wishes.stderr() instanceof Output.Discard)
            };
            for (int stream = 0; stream < STREAMS; stream++) {
                if (wanted[stream]) {
                    process.open(stream, control);
                }
            }
            process.attach(id, terminal);
            return process;
        } catch (IOException e) {
            process.close();
            throw RunhvException.of(
                    ErrorCode.HOST_FAILED,
                    "connect the streams of another process in container " + id,
                    String.valueOf(e.getMessage()),
                    null,
                    e);
        } catch (RuntimeException e) {
            process.close();
            throw e;
        }
    }

    private void open(int stream, Path control) throws IOException {
        LocalConnection connection = LocalConnection.connect(control);
        connections[stream] = connection;
        do {
            tokens[stream] = RANDOM.nextLong();
        } while (tokens[stream] == 0);
        ControlFrame.write(
                connection,
                ControlFrame.STREAM,
                stream + 1,
                new StructWriter(16).int32(0).int64(tokens[stream]).bytes());
        ControlFrame answer = ControlFrame.read(connection);
        if (answer == null) {
            throw new EOFException("The micro-VM's process has closed the connection");
        }
        if (answer.type() == ControlFrame.ERROR) {
            throw VmError.read(answer.payload()).toException();
        }
        if (answer.type() != (ControlFrame.STREAM | ControlFrame.ANSWER)) {
            throw new IOException("The answer to STREAM has type " + answer.type());
        }
    }

    private void attach(String id, boolean terminal) throws IOException {
        if (connections[0] != null) {
            stdin = ConnectionStreams.output(connections[0], terminal);
        }
        Thread.Builder threads = Thread.ofVirtual().name("runhv-exec-" + id);
        LocalConnection out = terminal ? connections[0] : connections[1];
        if (out != null) {
            stdout = new OutputDrain(wishes.stdout(), ConnectionStreams.input(out), FileDescriptor.out, threads);
        }
        if (connections[2] != null) {
            stderr = new OutputDrain(
                    wishes.stderr(), ConnectionStreams.input(connections[2]), FileDescriptor.err, threads);
        }
    }

    byte[] startRequest(byte[] json) {
        StructWriter start = new StructWriter(START_BYTES)
                .int32(wishes.terminal().isPresent() ? FLAG_TERMINAL : 0)
                .int16(wishes.terminal().map(size -> size.columns()).orElse(0))
                .int16(wishes.terminal().map(size -> size.rows()).orElse(0))
                .int32(json.length);
        for (LocalConnection connection : connections) {
            start.int32(connection == null ? END_NONE : END_STREAM);
        }
        start.int32(0);
        for (long token : tokens) {
            start.int64(token);
        }
        byte[] structure = start.bytes();
        byte[] request = new byte[structure.length + json.length];
        System.arraycopy(structure, 0, request, 0, structure.length);
        System.arraycopy(json, 0, request, structure.length, json.length);
        return request;
    }

    /** @return false where nobody wants it any more */
    synchronized boolean numbered(int processNumber) {
        number = processNumber;
        return !unwanted;
    }

    void begun() {
        inPlace.complete(null);
    }

    void end(VmEvent event) {
        finish(event.end().status(event.error()));
    }

    /** The container has ended, and every process with it. */
    void killed() {
        finish(new ExitStatus.Signaled(Signal.KILL));
    }

    private void finish(ExitStatus status) {
        inPlace.complete(null);
        var _ = CompletableFuture.allOf(stdout.done(), stderr.done()).whenComplete((done, failure) -> {
            closeInput();
            ended.complete(status);
        });
    }

    // The outputs are closed by who reads them to their end.
    private void closeInput() {
        if (connections[0] != null && (wishes.terminal().isEmpty() || !(wishes.stdout() instanceof Output.Pipe))) {
            closeQuietly(connections[0]);
        }
    }

    /** Gives everything back; the process was not begun. */
    void close() {
        for (LocalConnection connection : connections) {
            if (connection != null) {
                closeQuietly(connection);
            }
        }
    }

    /** Nobody wants it any more, whether it was begun or not. */
    void abandon() {
        boolean known;
        synchronized (this) {
            unwanted = true;
            known = number != 0;
        }
        if (known) {
            vmm.requests().killLater(number);
        }
        close();
    }

    private static void closeQuietly(LocalConnection connection) {
        try {
            connection.close();
        } catch (IOException e) {
            return; // nothing is left to be lost
        }
    }

    CompletableFuture<Void> inPlace() {
        return inPlace;
    }

    public OutputStream stdin() {
        return stdin;
    }

    public InputStream stdout() {
        return stdout.stream();
    }

    public InputStream stderr() {
        return stderr.stream();
    }

    /** Is complete when the process has ended and its output is delivered. Never fails. */
    public CompletableFuture<ExitStatus> ended() {
        return ended;
    }

    /** @throws RunhvException CLOSED where the container has ended, NOT_FOUND where the process has */
    public void signal(Signal signal) {
        vmm.requests().signal(number, signal);
    }

    /** @throws RunhvException CLOSED where the container has ended, NOT_FOUND where the process has */
    public void resize(TerminalSize size) {
        vmm.requests().resize(number, size);
    }
}
