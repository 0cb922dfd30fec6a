package dev.runhv.api;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;

/**
 * The waterfall of a start and what it cost.
 *
 * @param engine that executed the guest, never "auto"
 * @param kernel its version
 * @param stages those that were reached, in their order
 * @param exitsToFirstInstruction exits of the virtual processors until the container's program was in place, by reason;
 *     the key {@code all} holds their sum
 * @param exitsTotal the same until the end
 * @param instructionsToFirstInstruction guest instructions from the kernel's entry until the container's program was in
 *     place; empty where the engine cannot count
 * @param instructionsTotal the same until the end
 * @param privateBytes memory of the micro-VM's process that it shares with nobody, guest memory included
 * @param guestMemoryResidentBytes guest memory that the host holds in RAM
 */
public record StartTimings(
        String engine,
        String kernel,
        List<Stage> stages,
        Map<String, Long> exitsToFirstInstruction,
        Map<String, Long> exitsTotal,
        OptionalLong instructionsToFirstInstruction,
        OptionalLong instructionsTotal,
        long privateBytes,
        long guestMemoryResidentBytes) {
    public StartTimings {
        stages = List.copyOf(stages);
        exitsToFirstInstruction = Map.copyOf(exitsToFirstInstruction);
        exitsTotal = Map.copyOf(exitsTotal);
    }

    /**
     * A part of a start.
     *
     * @param name {@code spawn}, {@code partition}, {@code memory}, {@code kernel}, {@code agent},
     *     {@code first_instruction}, {@code first_output} or {@code exit}
     * @param start since the micro-VM's process was spawned
     * @param duration until the next stage that was reached
     */
    public record Stage(String name, Duration start, Duration duration) {}
}
