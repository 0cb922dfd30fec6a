package dev.runhv.api;

import java.time.Duration;

/**
 * What happens on the way of a container; see {@link Runhv#create(ContainerSpec, java.util.function.Consumer)}. A later
 * version may tell more: a {@code switch} needs a default branch.
 */
public interface ContainerEvent {
    /**
     * The image's layers are being made into a root file system. Does not occur where that was done before.
     *
     * @param layer the last one that was begun, from 1; several are read at once
     * @param layers how many there are
     * @param bytes of the stored layers that were read
     * @param totalBytes of all stored layers
     */
    record ImageProgress(int layer, int layers, long bytes, long totalBytes) implements ContainerEvent {}

    /**
     * The root file system and the bundle are there.
     *
     * @param duration since the call
     */
    record Prepared(Duration duration) implements ContainerEvent {}

    /**
     * The micro-VM's process runs.
     *
     * @param pid of the host's process: the container's pid
     */
    record Spawned(long pid) implements ContainerEvent {}

    /** All is done but the execution of the program. */
    record Created() implements ContainerEvent {}

    /** The program is in place. */
    record Started() implements ContainerEvent {}

    /** No instruction of the guest runs any more. */
    record Paused() implements ContainerEvent {}

    /** The guest goes on. */
    record Resumed() implements ContainerEvent {}

    /**
     * The guest's kernel has killed processes because its memory had run out.
     *
     * @param kills how many since the guest began
     */
    record OutOfMemory(int kills) implements ContainerEvent {}

    /**
     * Something that was asked for could not be granted; the container goes on without it.
     *
     * @param operation what was attempted
     * @param detail why it did not work
     */
    record Warning(String operation, String detail) implements ContainerEvent {}

    /**
     * The container ended. The last event.
     *
     * @param status how
     */
    record Ended(ExitStatus status) implements ContainerEvent {}

    /**
     * The micro-VM failed. The last event, in place of {@link Ended}.
     *
     * @param failure why
     */
    record Failed(RunhvException failure) implements ContainerEvent {}
}
