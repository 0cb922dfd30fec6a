package dev.runhv.benchmarks;

import dev.runhv.api.ExitStatus;
import dev.runhv.api.StartTimings;
import dev.runhv.vmm.nativebind.LiveStatistics;
import java.time.Duration;
import java.util.OptionalLong;

/** Of a start: what can be compared between machines, and the time that a user waits. */
final class StartMetrics {
    private static final String FIRST_INSTRUCTION = "first_instruction";

    private StartMetrics() {}

    static void record(LiveStatistics live, ExitStatus status) {
        record(
                status,
                live.stageStart(FIRST_INSTRUCTION).orElse(Duration.ZERO),
                live.exitsToFirstInstruction().get("all"),
                live.instructionsToFirstInstruction());
    }

    static void record(StartTimings timings, ExitStatus status) {
        record(
                status,
                timings.stages().stream()
                        .filter(stage -> stage.name().equals(FIRST_INSTRUCTION))
                        .findFirst()
                        .map(StartTimings.Stage::start)
                        .orElse(Duration.ZERO),
                timings.exitsToFirstInstruction().get("all"),
                timings.instructionsToFirstInstruction());
    }

    private static void record(ExitStatus status, Duration firstInstruction, long exits, OptionalLong instructions) {
        if (!status.isSuccess()) {
            // A start that fails early would look fast.
            throw new IllegalStateException("The container ended with " + status);
        }
        SecondaryMetrics.record("start.firstInstruction", firstInstruction.toNanos() / 1e6, "ms");
        SecondaryMetrics.record("guest.exits", exits, "#");
        instructions.ifPresent(count -> SecondaryMetrics.record("guest.instructions", count, "#"));
    }
}
