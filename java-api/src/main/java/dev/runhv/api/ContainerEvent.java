package dev.runhv.api;

import java.time.Duration;

/** What happens on the way of a container; see {@link Runhv#start(ContainerSpec, java.util.function.Consumer)}. */
public sealed interface ContainerEvent {
    /**
     * The image's layers are being made into a root file system. Does not occur where that was done before.
     *
     * @param layer the one being read, from 1
     * @param layers how many there are
     * @param bytes of the stored layers that were read
     * @param totalBytes of all stored layers
     */
    record ImageProgress(int layer, int layers, long bytes, long totalBytes) implements ContainerEvent {}

    /**
     * The root file system and the bundle are there.
     *
     * @param duration since the call of {@code start}
     */
    record Prepared(Duration duration) implements ContainerEvent {}

    /**
     * The micro-VM's process runs.
     *
     * @param pid of the host's process: the container's pid
     */
    record Started(long pid) implements ContainerEvent {}

    /** The container ended. The last event. */
    record Ended(ExitStatus status) implements ContainerEvent {}
}
