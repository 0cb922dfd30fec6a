package dev.runhv.vmm.abi;

import dev.runhv.api.ContainerStatistics;
import dev.runhv.api.Engine;
import dev.runhv.api.ExitCounts;
import dev.runhv.api.ExitReason;
import dev.runhv.api.StartStage;
import dev.runhv.api.StartTimings;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalLong;

/**
 * What a micro-VM has counted and measured, {@code runhv_statistics}.
 *
 * @param timings with the core's stages: {@link StartStage#SPAWN} is the first
 */
public record VmStatistics(
        Timings timings,
        int cpus,
        ExitCounts exits,
        OptionalLong instructions,
        long privateBytes,
        long guestMemoryResidentBytes,
        long memoryBytes)
        implements ContainerStatistics {
    /** {@code UINT64_MAX}. */
    public static final long NOT_COUNTED = -1;

    /** Those of the core, by their numbers. */
    public static final List<StartStage> STAGES = List.of(
            StartStage.SPAWN,
            StartStage.PARTITION,
            StartStage.MEMORY,
            StartStage.KERNEL,
            StartStage.AGENT,
            StartStage.FIRST_INSTRUCTION,
            StartStage.FIRST_OUTPUT,
            StartStage.EXIT);

    /** {@code runhv_exit_reason}, by their numbers. */
    public static final List<ExitReason> REASONS = List.of(
            ExitReason.IO_PORT,
            ExitReason.MMIO,
            ExitReason.CPUID,
            ExitReason.MSR,
            ExitReason.HALT,
            ExitReason.INTERRUPT_WINDOW,
            ExitReason.APIC_EOI,
            ExitReason.CANCELED,
            ExitReason.OTHER);

    private static final int ENGINE_BYTES = 16;
    private static final int KERNEL_BYTES = 128;

    public record Timings(
            Engine engine,
            String kernel,
            List<Span> stages,
            ExitCounts exitsToFirstInstruction,
            OptionalLong instructionsToFirstInstruction)
            implements StartTimings {
        public Timings {
            stages = List.copyOf(stages);
        }

        /** With what was done before the micro-VM, one after the other, in front. */
        public Timings after(Map<StartStage, Duration> before) {
            List<Span> all = new ArrayList<>();
            Duration at = Duration.ZERO;
            for (Map.Entry<StartStage, Duration> stage : before.entrySet()) {
                all.add(new Span(stage.getKey(), at, stage.getValue()));
                at = at.plus(stage.getValue());
            }
            for (Span span : stages) {
                all.add(new Span(span.stage(), span.start().plus(at), span.duration()));
            }
            return new Timings(engine, kernel, all, exitsToFirstInstruction, instructionsToFirstInstruction);
        }
    }

    public static VmStatistics read(ByteBuffer bytes) throws MalformedException {
        StructReader in = StructReader.take(bytes);
        int cpus = in.int32();
        String engine = in.text(ENGINE_BYTES);
        String kernel = in.text(KERNEL_BYTES);
        List<StartTimings.Span> stages = stages(in);
        ExitCounts exitsToFirstInstruction = exits(in);
        ExitCounts exits = exits(in);
        OptionalLong instructionsToFirstInstruction = count(in);
        return new VmStatistics(
                new Timings(engine(engine), kernel, stages, exitsToFirstInstruction, instructionsToFirstInstruction),
                cpus,
                exits,
                count(in),
                in.int64(),
                in.int64(),
                in.int64());
    }

    private static List<StartTimings.Span> stages(StructReader in) {
        long spawned = in.int64();
        List<StartTimings.Span> stages = new ArrayList<>();
        for (StartStage stage : STAGES) {
            long start = in.int64();
            long duration = in.int64();
            if (start != 0) {
                stages.add(new StartTimings.Span(stage, Duration.ofNanos(start - spawned), Duration.ofNanos(duration)));
            }
        }
        return stages;
    }

    private static ExitCounts exits(StructReader in) {
        Map<ExitReason, Long> counts = new EnumMap<>(ExitReason.class);
        for (ExitReason reason : REASONS) {
            counts.put(reason, in.int64());
        }
        in.int64(); // their sum
        return ExitCounts.of(counts);
    }

    private static OptionalLong count(StructReader in) {
        long count = in.int64();
        return count == NOT_COUNTED ? OptionalLong.empty() : OptionalLong.of(count);
    }

    private static Engine engine(String name) throws MalformedException {
        if (name.isEmpty()) {
            return Engine.AUTO; // it is not chosen yet
        }
        try {
            return Engine.valueOf(name.toUpperCase(Locale.ROOT));
        } catch (IllegalArgumentException e) {
            throw new MalformedException("Unknown engine \"" + name + "\"");
        }
    }
}
