package dev.runhv.vmm.jfr;

import dev.runhv.api.ContainerStatistics;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.StartStage;
import dev.runhv.api.StartTimings;
import java.time.Duration;
import java.util.OptionalLong;

/**
 * One container as events of Java Flight Recorder: its start, told when its program is in place, and its run, told when it
 * has ended. Both begin and end when that was. The stages of a start are measured elsewhere, and told with it: JFR dates an
 * event when it is made and cannot be told of the past, so that what happened when is in their fields. Not for several
 * threads at a time.
 */
public final class StartEvents {
    private final String container;
    private final boolean inProcess;
    private final StartEvent start = new StartEvent();
    private final RunEvent run = new RunEvent();

    /** The start begins. */
    public StartEvents(String container, boolean inProcess) {
        this.container = container;
        this.inProcess = inProcess;
        start.begin();
    }

    /** Whether a recording takes any of them: without one, what they tell need not be asked for. */
    public static boolean areWanted() {
        return new StartEvent().isEnabled() || new StartStageEvent().isEnabled() || new RunEvent().isEnabled();
    }

    /** The program is in place: one event for each stage, in their order, and the one that sums up. */
    public void started(StartTimings timings, ContainerStatistics statistics) {
        start.end();
        run.begin();
        for (StartTimings.Span span : timings.stages()) {
            if (span.stage().compareTo(StartStage.FIRST_INSTRUCTION) < 0) {
                StartStageEvent event = new StartStageEvent();
                event.container = container;
                event.engine = timings.engine().optionName();
                event.kernel = timings.kernel();
                event.stage = span.stage().jsonName();
                event.startOffset = span.start().toNanos();
                event.stageDuration = span.duration().toNanos();
                event.commit();
            }
        }
        start.container = container;
        start.engine = timings.engine().optionName();
        start.kernel = timings.kernel();
        start.inProcess = inProcess;
        start.timeToFirstInstruction =
                timings.timeToFirstInstruction().map(Duration::toNanos).orElse(StartEvent.NO_SPAN);
        start.exits = timings.exitsToFirstInstruction().all();
        start.instructions = orNotCounted(timings.instructionsToFirstInstruction());
        start.privateMemory = statistics.privateBytes();
        start.residentGuestMemory = statistics.guestMemoryResidentBytes();
        start.commit();
    }

    /**
     * The container has ended, after it was started.
     *
     * @param status null where the micro-VM failed
     * @param statistics the last known
     */
    public void ended(ExitStatus status, ContainerStatistics statistics, int oomKills) {
        run.end();
        run.container = container;
        run.exitStatus = status == null ? RunEvent.FAILED : status.code();
        run.exits = statistics.exits().all();
        run.instructions = orNotCounted(statistics.instructions());
        run.privateMemory = statistics.privateBytes();
        run.residentGuestMemory = statistics.guestMemoryResidentBytes();
        run.oomKills = oomKills;
        run.commit();
    }

    private static long orNotCounted(OptionalLong count) {
        return count.orElse(StartEvent.NOT_COUNTED);
    }
}
