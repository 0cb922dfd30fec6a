package dev.runhv.vmm.runtime;

import dev.runhv.api.ExecProcess;
import dev.runhv.api.ExecSpec;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.Signal;
import dev.runhv.api.TerminalSize;
import dev.runhv.vmm.process.ExecutedProcess;
import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/** Another process in a container whose micro-VM is a child of this JVM. */
final class LocalExec implements ExecProcess {
    private final String container;
    private final ExecutedProcess process;
    private final Optional<TerminalSize> terminal;

    LocalExec(String container, ExecutedProcess process, ExecSpec spec) {
        this.container = container;
        this.process = process;
        this.terminal = spec.terminal();
    }

    @Override
    public OutputStream stdin() {
        return process.stdin();
    }

    @Override
    public InputStream stdout() {
        return process.stdout();
    }

    @Override
    public InputStream stderr() {
        return process.stderr();
    }

    @Override
    public void signal(Signal signal) {
        Errors.unlessEnded(() -> process.signal(signal));
    }

    @Override
    public void resize(int columns, int rows) {
        TerminalSize size = new TerminalSize(columns, rows);
        Errors.checkTerminal(terminal, "resize the terminal of a process in container " + container);
        Errors.unlessEnded(() -> process.resize(size));
    }

    @Override
    public CompletableFuture<ExitStatus> onExit() {
        return process.ended().copy();
    }

    @Override
    public ExitStatus waitFor() throws InterruptedException {
        return Waiting.on(process.ended());
    }

    @Override
    public Optional<ExitStatus> waitFor(Duration timeout) throws InterruptedException {
        return Waiting.on(process.ended(), timeout);
    }
}
