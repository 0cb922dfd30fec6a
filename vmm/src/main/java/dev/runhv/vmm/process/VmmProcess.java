package dev.runhv.vmm.process;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.HostException;
import dev.runhv.api.RunhvException;
import dev.runhv.api.StartTimings;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/** A micro-VM in a process of its own, from its spawn to its end. Every method may be called from any thread. */
public final class VmmProcess {
    private final Process process;
    private final Path timingsFile;

    private VmmProcess(Process process, Path timingsFile) {
        this.process = process;
        this.timingsFile = timingsFile;
    }

    /**
     * @param bundle is removed by the process as soon as its files are open
     * @param timingsFile is made by the process
     * @throws HostException where the process cannot be made
     */
    public static VmmProcess spawn(Distribution distribution, String id, Path bundle, Path timingsFile) {
        List<String> command = new ArrayList<>(List.of(
                distribution.vmm().toString(),
                "--id",
                id,
                "--bundle",
                bundle.toString(),
                "--remove-bundle",
                // A JVM that is killed cannot close its containers.
                "--end-with",
                Long.toString(ProcessHandle.current().pid()),
                "--timings=json:" + timingsFile));
        if (System.getProperty("os.name").equals("Linux")) {
            // There nanoTime is the monotonic clock of the system, as the core's. Else the process asks the system
            // when it was started, which tells it less exactly.
            command.addAll(List.of("--spawned-at-ns", Long.toString(System.nanoTime())));
        }
        try {
            return new VmmProcess(new ProcessBuilder(command).start(), timingsFile);
        } catch (IOException e) {
            throw new HostException(
                    ErrorCode.HOST_FAILED, "start the micro-VM of container " + id, e.getMessage(), null, e);
        }
    }

    public ProcessHandle handle() {
        // Not the Process itself: its destroy() also closes the streams, and with them unread output.
        return process.toHandle();
    }

    public OutputStream stdin() {
        return process.getOutputStream();
    }

    public InputStream stdout() {
        return process.getInputStream();
    }

    public InputStream stderr() {
        return process.getErrorStream();
    }

    /**
     * How a container ended, and how its start went.
     *
     * @param failure of the micro-VM, null where the container ended or was not started
     * @param timings empty where the process did not come to tell
     */
    public record Outcome(ExitStatus status, RunhvException failure, Optional<StartTimings> timings) {
        /** @throws RunhvException where the micro-VM failed */
        public ExitStatus statusOrThrow() {
            if (failure != null) {
                // A new one each time: its stack is that of the thread that waits.
                throw RunhvException.of(failure.code(), failure.operation(), failure.detail(), null, failure);
            }
            return status;
        }
    }

    /** Waits for the end. */
    public Outcome await() throws InterruptedException {
        int code = process.waitFor();
        return outcome(code, TimingsReader.read(timingsFile));
    }

    /** Ends the process at once if it runs, waits for that, and closes the streams. */
    public void kill() {
        boolean interrupted = false;
        handle().destroyForcibly();
        while (true) {
            try {
                process.waitFor(Long.MAX_VALUE, TimeUnit.NANOSECONDS);
                break;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        for (Closeable stream : List.of(stdin(), stdout(), stderr())) {
            try {
                stream.close();
            } catch (IOException e) {
                // What was still to be flushed has nobody left to read it.
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    static Outcome outcome(int code, Optional<TimingsReader.Line> line) {
        Optional<StartTimings> timings = line.map(TimingsReader.Line::timings);
        Optional<TimingsReader.End> end = line.flatMap(TimingsReader.Line::end);
        RunhvException failure = end.filter(e -> e.kind().equals("failed"))
                .map(e -> RunhvException.of(ErrorCode.ofJsonName(e.code()), e.operation(), e.reason(), null, null))
                .orElse(null);
        return new Outcome(end.map(e -> status(code, e)).orElseGet(() -> status(code)), failure, timings);
    }

    private static ExitStatus status(int code, TimingsReader.End end) {
        return switch (end.kind()) {
            case "exited" -> new ExitStatus.Exited(end.value());
            case "signaled" -> new ExitStatus.Signaled(end.value());
            case "not_started", "failed" ->
                new ExitStatus.NotStarted(end.value(), end.operation() + ": " + end.reason());
            default -> status(code);
        };
    }

    /** Of a process that told nothing: it was killed, or could not make its micro-VM. */
    private static ExitStatus status(int code) {
        boolean signaled = code > 128 && code <= 128 + 64;
        return signaled ? new ExitStatus.Signaled(code - 128) : new ExitStatus.NotStarted(code, "");
    }
}
