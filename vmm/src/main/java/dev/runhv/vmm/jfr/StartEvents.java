package dev.runhv.vmm.jfr;

import dev.runhv.api.StartTimings;
import java.time.Duration;
import java.util.OptionalLong;

/**
 * Commits the events of a start, which the micro-VM has measured itself. JFR gives an event the time of its commit: what
 * happened when is in their fields, and not in their own start and duration.
 */
public final class StartEvents {
    private StartEvents() {}

    /** Whether a recording takes any of them: without one, what they tell need not be asked for. */
    public static boolean areWanted() {
        return new StartEvent().isEnabled() || new StartStageEvent().isEnabled();
    }

    /**
     * One event for each stage that was reached, in their order, then the one that sums up.
     *
     * @param inProcess whether the micro-VM was in this process
     */
    public static void commit(String container, boolean inProcess, StartTimings timings) {
        for (StartTimings.Stage stage : timings.stages()) {
            StartStageEvent event = new StartStageEvent();
            event.container = container;
            event.engine = timings.engine();
            event.kernel = timings.kernel();
            event.stage = stage.name();
            event.startOffset = stage.start().toNanos();
            event.stageDuration = stage.duration().toNanos();
            event.commit();
        }
        StartEvent event = new StartEvent();
        event.container = container;
        event.engine = timings.engine();
        event.kernel = timings.kernel();
        event.inProcess = inProcess;
        event.timeToFirstInstruction = timings.stages().stream()
                .filter(stage -> stage.name().equals("first_instruction"))
                .map(StartTimings.Stage::start)
                .mapToLong(Duration::toNanos)
                .findFirst()
                .orElse(StartEvent.NO_SPAN);
        event.exitsToFirstInstruction = timings.exitsToFirstInstruction().getOrDefault("all", 0L);
        event.exits = timings.exitsTotal().getOrDefault("all", 0L);
        event.instructionsToFirstInstruction = orNotCounted(timings.instructionsToFirstInstruction());
        event.instructions = orNotCounted(timings.instructionsTotal());
        event.privateMemory = timings.privateBytes();
        event.residentGuestMemory = timings.guestMemoryResidentBytes();
        event.commit();
    }

    private static long orNotCounted(OptionalLong count) {
        return count.orElse(StartEvent.NOT_COUNTED);
    }
}
