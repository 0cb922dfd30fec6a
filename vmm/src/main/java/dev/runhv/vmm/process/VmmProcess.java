package dev.runhv.vmm.process;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.HostException;
import dev.runhv.api.StartTimings;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Path;
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
        List<String> command = List.of(
                distribution.vmm().toString(),
                "--id",
                id,
                "--bundle",
                bundle.toString(),
                "--remove-bundle",
                "--timings=json:" + timingsFile);
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
     * @param timings empty where the process did not come to tell
     */
    public record Outcome(ExitStatus status, Optional<StartTimings> timings) {}

    /** Waits for the end. */
    public Outcome await() throws InterruptedException {
        int code = process.waitFor();
        Optional<StartTimings> timings = TimingsReader.read(timingsFile);
        return new Outcome(status(code, timings), timings);
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

    /** What the exit status of runhv-vmm means: that of the container, or one of its own where that never ran. */
    static ExitStatus status(int code, Optional<StartTimings> timings) {
        boolean ran = timings.stream()
                .flatMap(t -> t.stages().stream())
                .anyMatch(stage -> stage.name().equals("first_instruction"));
        if (!ran && code >= 125 && code <= 127) {
            return new ExitStatus.NotStarted(code, "");
        }
        boolean signaled = code > 128 && code <= 128 + 64;
        return signaled ? new ExitStatus.Signaled(code - 128) : new ExitStatus.Exited(code);
    }
}
