package dev.runhv.benchmarks;

import dev.runhv.api.ExitCounts;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.StartStage;
import dev.runhv.api.StartTimings;
import dev.runhv.vmm.inprocess.LiveStatistics;
import java.time.Duration;
import java.util.OptionalLong;

/** Of a start: what can be compared between machines, and the time that a user waits. */
final class StartMetrics {
    private StartMetrics() {}

    static void record(LiveStatistics live, ExitStatus status) {
        record(
                status,
                live.stageStart(StartStage.FIRST_INSTRUCTION).orElse(Duration.ZERO),
                live.exitsToFirstInstruction(),
                live.instructionsToFirstInstruction());
    }

    static void record(StartTimings timings, ExitStatus status) {
        record(
                status,
                timings.timeToFirstInstruction().orElse(Duration.ZERO),
                timings.exitsToFirstInstruction(),
                timings.instructionsToFirstInstruction());
    }

    private static void record(
            ExitStatus status, Duration firstInstruction, ExitCounts exits, OptionalLong instructions) {
        if (!status.isSuccess()) {
            // A start that fails early would look fast.
            throw new IllegalStateException("The container ended with " + status);
        }
        SecondaryMetrics.record("start.firstInstruction", firstInstruction.toNanos() / 1e6, "ms");
        SecondaryMetrics.record("guest.exits", exits.all(), "#");
        instructions.ifPresent(count -> SecondaryMetrics.record("guest.instructions", count, "#"));
    }
}
