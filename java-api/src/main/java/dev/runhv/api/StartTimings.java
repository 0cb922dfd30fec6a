package dev.runhv.api;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/** The waterfall of a start and what it cost. Implemented by runhv; later versions tell more. */
public interface StartTimings {
    /**
     * A part of a start.
     *
     * @param stage which
     * @param start since the first of them began
     * @param duration until the next stage that was reached
     */
    record Span(StartStage stage, Duration start, Duration duration) {}

    /**
     * What executes the guest.
     *
     * @return never {@link Engine#AUTO}
     */
    Engine engine();

    /**
     * The version of the guest's kernel.
     *
     * @return for instance {@code 6.12.117-runhv-minimal}
     */
    String kernel();

    /**
     * The stages that were reached, in their order. {@link StartStage#IMAGE} and {@link StartStage#BUNDLE} are there where
     * the container was made of an image.
     *
     * @return from the beginning to the last one
     */
    List<Span> stages();

    /**
     * One of the stages.
     *
     * @param stage the one
     * @return empty where it was not reached
     */
    default Optional<Span> stage(StartStage stage) {
        return stages().stream().filter(span -> span.stage() == stage).findFirst();
    }

    /**
     * The time from the spawn of the micro-VM's process until the container's program was in place.
     *
     * @return empty where it never was
     */
    default Optional<Duration> timeToFirstInstruction() {
        return stage(StartStage.FIRST_INSTRUCTION)
                .flatMap(first ->
                        stage(StartStage.SPAWN).map(spawn -> first.start().minus(spawn.start())));
    }

    /**
     * Exits of the virtual processors until the container's program was in place.
     *
     * @return by reason
     */
    ExitCounts exitsToFirstInstruction();

    /**
     * Guest instructions from the kernel's entry until the container's program was in place.
     *
     * @return empty where the engine cannot count
     */
    OptionalLong instructionsToFirstInstruction();
}
