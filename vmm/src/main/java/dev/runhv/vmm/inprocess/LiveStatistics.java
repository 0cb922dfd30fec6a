package dev.runhv.vmm.inprocess;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.ExitCounts;
import dev.runhv.api.ExitReason;
import dev.runhv.api.RunhvException;
import dev.runhv.api.StartStage;
import dev.runhv.vmm.abi.VmStatistics;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.time.Duration;
import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * What a VM counts, while it does: a view of the page that its processors write ({@code runhv_statistics_page}), so that
 * looking costs neither a call nor the VM anything. Each number is one that the page has held, but they are not of one
 * moment. May be used by any thread; after the VM was closed every method that reads throws {@link IllegalStateException}.
 */
public final class LiveStatistics {
    private static final int VERSION = 1;
    private static final int STAGES = VmStatistics.STAGES.size();
    private static final int REASONS = VmStatistics.REASONS.size();
    private static final int PROCESSORS = 64;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;

    private static final StructLayout PROCESSOR = MemoryLayout.structLayout(
            MemoryLayout.sequenceLayout(REASONS, LONG).withName("exits"),
            LONG.withName("instructions"),
            MemoryLayout.sequenceLayout(6, LONG));

    private static final StructLayout LAYOUT = MemoryLayout.structLayout(
            ValueLayout.JAVA_INT.withName("version"),
            ValueLayout.JAVA_INT.withName("processorCount"),
            LONG.withName("memoryBytes"),
            LONG.withName("guestMemoryResidentBytes"),
            MemoryLayout.sequenceLayout(STAGES, LONG).withName("stageStart"),
            LONG.withName("end"),
            MemoryLayout.sequenceLayout(REASONS, LONG).withName("exitsToFirstInstruction"),
            LONG.withName("instructionsToFirstInstruction"),
            MemoryLayout.sequenceLayout(10, LONG),
            MemoryLayout.sequenceLayout(PROCESSORS, PROCESSOR).withName("processors"));

    private static final VarHandle NUMBER = LONG.varHandle();

    private final MemorySegment page;
    private final int processors;

    LiveStatistics(MemorySegment page) {
        if (page.byteSize() != LAYOUT.byteSize()
                || page.get(ValueLayout.JAVA_INT, offset("version")) != VERSION
                || page.get(ValueLayout.JAVA_INT, offset("processorCount")) > PROCESSORS) {
            throw RunhvException.of(
                    ErrorCode.INTERNAL,
                    "read the statistics page of a micro-VM",
                    "Its %d bytes are not those of version %d".formatted(page.byteSize(), VERSION),
                    null,
                    null);
        }
        this.page = page;
        this.processors = page.get(ValueLayout.JAVA_INT, offset("processorCount"));
    }

    /** The page itself, read-only. */
    public MemorySegment page() {
        return page;
    }

    /** Exits of all processors until now. */
    public ExitCounts exits() {
        long[] counts = new long[REASONS];
        for (int processor = 0; processor < processors; processor++) {
            addExits(counts, offsetOf(processor));
        }
        return byReason(counts);
    }

    /** Those until the container's program was in place; all 0 before. */
    public ExitCounts exitsToFirstInstruction() {
        long[] counts = new long[REASONS];
        if (stageStart(StartStage.FIRST_INSTRUCTION).isPresent()) { // what belongs to a stage is stored before it
            addExits(counts, offset("exitsToFirstInstruction"));
        }
        return byReason(counts);
    }

    /** Guest instructions until each processor's last exit; empty where the engine cannot count. */
    public OptionalLong instructions() {
        long sum = 0;
        for (int processor = 0; processor < processors; processor++) {
            long count = number(offsetOf(processor) + PROCESSOR.byteOffset(PathElement.groupElement("instructions")));
            if (count == VmStatistics.NOT_COUNTED) {
                return OptionalLong.empty();
            }
            sum += count;
        }
        return OptionalLong.of(sum);
    }

    /** Those until the container's program was in place; empty before, too. */
    public OptionalLong instructionsToFirstInstruction() {
        if (stageStart(StartStage.FIRST_INSTRUCTION).isEmpty()) {
            return OptionalLong.empty();
        }
        long count = number(offset("instructionsToFirstInstruction"));
        return count == VmStatistics.NOT_COUNTED ? OptionalLong.empty() : OptionalLong.of(count);
    }

    /**
     * When a stage began, since the creation of the VM.
     *
     * @return empty where it was not reached yet, or is none of the core's
     */
    public Optional<Duration> stageStart(StartStage stage) {
        int index = VmStatistics.STAGES.indexOf(stage);
        if (index < 0) {
            return Optional.empty();
        }
        long start = number(offset("stageStart") + index * LONG.byteSize());
        return start == 0 ? Optional.empty() : Optional.of(Duration.ofNanos(start - number(offset("stageStart"))));
    }

    /** Guest memory that the host held in RAM when {@link InProcessVm#counted()} last looked; 0 before. */
    public long guestMemoryResidentBytes() {
        return number(offset("guestMemoryResidentBytes"));
    }

    private void addExits(long[] counts, long offset) {
        for (int reason = 0; reason < REASONS; reason++) {
            counts[reason] += number(offset + reason * LONG.byteSize());
        }
    }

    private static ExitCounts byReason(long[] counts) {
        Map<ExitReason, Long> exits = new EnumMap<>(ExitReason.class);
        for (int reason = 0; reason < REASONS; reason++) {
            exits.put(VmStatistics.REASONS.get(reason), counts[reason]);
        }
        return ExitCounts.of(exits);
    }

    private long number(long offset) {
        return (long) NUMBER.getAcquire(page, offset);
    }

    private static long offset(String field) {
        return LAYOUT.byteOffset(PathElement.groupElement(field));
    }

    private static long offsetOf(int processor) {
        return LAYOUT.byteOffset(PathElement.groupElement("processors"), PathElement.sequenceElement(processor));
    }
}
