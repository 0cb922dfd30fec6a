package dev.runhv.api;

import java.time.Instant;
import java.util.Optional;

/** A container at one moment. Implemented by runhv; later versions tell more. */
public interface ContainerState {
    /**
     * Where a container is on its way, by the words of the OCI runtime specification. A later version may have more: a
     * {@code switch} needs a default branch.
     */
    enum Status {
        /** The micro-VM boots. */
        CREATING,
        /** All is prepared but the execution of the program. */
        CREATED,
        /** The program runs. */
        RUNNING,
        /** No instruction of the guest runs until it is resumed. */
        PAUSED,
        /** It has ended, however. */
        STOPPED
    }

    /**
     * Where it is on its way.
     *
     * @return the status
     */
    Status status();

    /**
     * When the micro-VM was made.
     *
     * @return by the host's clock
     */
    Instant createdAt();

    /**
     * When the program was in place.
     *
     * @return empty where it was not yet
     */
    Optional<Instant> startedAt();

    /**
     * When the container ended.
     *
     * @return empty where it was not yet
     */
    Optional<Instant> endedAt();

    /**
     * Processes in it that runhv has started: the first, and those of {@link Container#exec}.
     *
     * @return how many run or are being prepared
     */
    int processes();
}
