package dev.runhv.vmm.kernel;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.FileContent;
import dev.runhv.api.Output;
import dev.runhv.api.RunhvException;
import dev.runhv.api.StartStage;
import dev.runhv.api.StartTimings;
import dev.runhv.api.TreeEntry;
import dev.runhv.vmm.abi.VmStatistics;
import dev.runhv.vmm.bundle.Annotations;
import dev.runhv.vmm.bundle.Bundle;
import dev.runhv.vmm.process.ContainerRoot;
import dev.runhv.vmm.process.Distribution;
import dev.runhv.vmm.process.Launch;
import dev.runhv.vmm.process.Outcome;
import dev.runhv.vmm.process.VmmProcess;
import dev.runhv.vmm.rootfs.TreeImage;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Boots a kernel to a program that does nothing, to see that it works and what that costs. */
final class BootProbe {
    /** A kernel that is not there by then hangs: distributions' take 5 s on the software CPU. */
    private static final long DEADLINE_SECONDS = 300;

    private static final long MEMORY_BYTES = 128L << 20;
    private static final int COMPLAINT_BYTES = 4096;

    // ELF64, one segment: mov $231, %eax (exit_group); xor %edi, %edi; syscall
    private static final byte[] PROGRAM = HexFormat.of()
            .parseHex("7f454c46020101000000000000000000" + "02003e00010000007800400000000000"
                    + "40000000000000000000000000000000" + "00000000400038000100000000000000"
                    + "01000000050000000000000000000000" + "00004000000000000000400000000000"
                    + "81000000000000008100000000000000" + "0010000000000000"
                    + "b8e7000000" + "31ff" + "0f05");

    private final Distribution distribution;

    BootProbe(Distribution distribution) {
        this.distribution = distribution;
    }

    /** What the kernel calls itself, and its cost. */
    record Result(String release, BootCost boot) {}

    /**
     * @param folder for what the boot needs, and nobody afterwards
     * @param image what complaints name: where the kernel came from
     * @param modules null where there are none
     * @throws RunhvException where the kernel does not come to the program
     * @throws InterruptedException when the thread is interrupted; the kernel is gone
     */
    Result boot(String operation, Path folder, Path image, Path kernel, Path modules)
            throws IOException, InterruptedException {
        Path root = folder.resolve("program.erofs");
        TreeImage.write(
                root,
                List.of(TreeEntry.file("/program", FileContent.of(PROGRAM))
                        .mode(0755)
                        .build()));
        Path bundle = Files.createDirectory(folder.resolve("bundle"));
        bundle(kernel, modules, root).write(bundle.resolve("config.json"));
        Launch launch = new Launch(
                distribution,
                new ContainerRoot(folder.resolve("root")),
                "boot-" + folder.getFileName(),
                bundle,
                folder,
                false,
                false,
                Output.discard(),
                Output.keep(COMPLAINT_BYTES));
        VmmProcess process = VmmProcess.spawn(launch, pid -> {}, event -> {});
        try {
            Outcome outcome = process.ended().get(DEADLINE_SECONDS, TimeUnit.SECONDS);
            if (!new ExitStatus.Exited(0).equals(outcome.status())
                    || process.lastStatistics().isEmpty()) {
                String complaint = complaint(process, outcome).replace(kernel.toString(), image.toString());
                throw failure(operation, "It does not run a program: " + complaint);
            }
            return result(process.lastStatistics().get());
        } catch (TimeoutException e) {
            throw failure(operation, "It does not come to a program in " + DEADLINE_SECONDS + " s");
        } catch (ExecutionException e) {
            throw new IllegalStateException(e);
        } finally {
            process.kill();
        }
    }

    private static String complaint(VmmProcess process, Outcome outcome) throws IOException {
        if (outcome.failure() != null) {
            return outcome.failure().operation() + ": " + outcome.failure().detail();
        }
        String text = new String(process.stderr().readAllBytes(), StandardCharsets.UTF_8);
        return text.isBlank() ? outcome.status().toString() : text.strip().replaceFirst("^runhv: ", "");
    }

    private static Result result(VmStatistics statistics) {
        StartTimings timings = statistics.timings();
        BootCost boot = new BootCost(
                timings.engine().optionName(),
                MEMORY_BYTES,
                timings.instructionsToFirstInstruction(),
                timings.exitsToFirstInstruction().all(),
                micros(timings));
        return new Result(timings.kernel(), boot);
    }

    private static long micros(StartTimings timings) {
        return timings.stages().stream()
                .filter(span -> span.stage() == StartStage.KERNEL || span.stage() == StartStage.AGENT)
                .mapToLong(span -> TimeUnit.NANOSECONDS.toMicros(span.duration().toNanos()))
                .sum();
    }

    private static RunhvException failure(String operation, String detail) {
        return RunhvException.of(ErrorCode.GUEST_FAILED, operation, detail, null, null);
    }

    /** Without mounts and namespaces: what a kernel costs, not a container. */
    private static Bundle bundle(Path kernel, Path modules, Path root) {
        Map<String, String> annotations = new HashMap<>();
        annotations.put(Annotations.MEMORY, Long.toString(MEMORY_BYTES));
        annotations.put(Annotations.STDIN, "false");
        if (modules != null) {
            annotations.put(Annotations.KERNEL_MODULES, modules.toAbsolutePath().toString());
        }
        return new Bundle(
                "",
                new Bundle.Program(
                        List.of("/program"),
                        List.of(),
                        "/",
                        Bundle.User.ROOT,
                        Bundle.Capabilities.UNSAID,
                        List.of(),
                        Optional.empty()),
                List.of(),
                Bundle.Linux.UNSAID,
                new Bundle.Vm(Optional.of(kernel), root),
                annotations);
    }
}
