package dev.runhv.api;

import java.util.OptionalLong;

/** What a container's micro-VM has used until now. Implemented by runhv; later versions tell more. */
public interface ContainerStatistics {
    /**
     * Exits of the virtual processors since they began.
     *
     * @return by reason
     */
    ExitCounts exits();

    /**
     * Guest instructions since the kernel's entry.
     *
     * @return empty where the engine cannot count
     */
    OptionalLong instructions();

    /**
     * Memory of the micro-VM's process that it shares with nobody, guest memory included.
     *
     * @return in bytes
     */
    long privateBytes();

    /**
     * Guest memory that the host holds in RAM.
     *
     * @return in bytes
     */
    long guestMemoryResidentBytes();

    /**
     * The guest's RAM.
     *
     * @return in bytes
     */
    long memoryBytes();

    /**
     * The virtual processors.
     *
     * @return how many
     */
    int cpus();
}
