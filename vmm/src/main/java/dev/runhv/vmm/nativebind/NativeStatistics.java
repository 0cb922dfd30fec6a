package dev.runhv.vmm.nativebind;

import dev.runhv.api.InternalException;
import dev.runhv.api.StartTimings;
import dev.runhv.api.StartTimings.Stage;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;

/** Unpacks what {@link RunhvNative#statistics} packs. */
final class NativeStatistics {
    static final int ENGINE_BYTES = 16;
    static final int KERNEL_BYTES = 128;

    static final long NOT_COUNTED = -1; // UINT64_MAX
    static final List<String> STAGES =
            List.of("spawn", "partition", "memory", "kernel", "agent", "first_instruction", "first_output", "exit");
    static final List<String> EXITS = List.of(
            "io_port", "mmio", "cpuid", "msr", "halt", "interrupt_window", "apic_eoi", "canceled", "other", "all");

    private final long[] values;
    private int next;

    private NativeStatistics(long[] values) {
        this.values = values;
    }

    static StartTimings timings(long[] values, byte[] engine, byte[] kernel) {
        if (values.length != RunhvNative.STATISTICS) {
            throw new InternalException(
                    "read the statistics of a micro-VM", "There are " + values.length + " numbers", null, null);
        }
        NativeStatistics statistics = new NativeStatistics(values);
        return new StartTimings(
                text(engine),
                text(kernel),
                statistics.stages(),
                statistics.exits(),
                statistics.exits(),
                statistics.count(),
                statistics.count(),
                statistics.number(),
                statistics.number());
    }

    private List<Stage> stages() {
        long spawned = number();
        List<Stage> stages = new ArrayList<>();
        for (String name : STAGES) {
            long start = number();
            long duration = number();
            if (start != 0) {
                stages.add(new Stage(name, Duration.ofNanos(start - spawned), Duration.ofNanos(duration)));
            }
        }
        return stages;
    }

    private Map<String, Long> exits() {
        Map<String, Long> exits = new LinkedHashMap<>();
        for (String reason : EXITS) {
            exits.put(reason, number());
        }
        return exits;
    }

    private OptionalLong count() {
        long count = number();
        return count == NOT_COUNTED ? OptionalLong.empty() : OptionalLong.of(count);
    }

    private long number() {
        return values[next++];
    }

    /** Up to the first NUL. */
    static String text(byte[] bytes) {
        int size = 0;
        while (size < bytes.length && bytes[size] != 0) {
            size++;
        }
        return new String(bytes, 0, size, StandardCharsets.UTF_8);
    }
}
