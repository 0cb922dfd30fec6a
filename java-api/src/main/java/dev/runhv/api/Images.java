package dev.runhv.api;

import java.util.function.Consumer;

/** The images of a {@link Runhv} and their root file systems. May be used by any number of threads. */
public interface Images {
    /**
     * Makes an image's root file system, unless the store has it: then a container of it starts without that work.
     *
     * @param reference as in {@link ContainerSpec#image(String)}
     * @return what was made or found
     * @throws RequestException where there is no such image, or it is damaged
     * @throws HostException where the host fails: the store's disk is full, say
     * @throws ClosedException where the {@link Runhv} was closed, before or meanwhile
     * @throws InterruptedException where the thread is interrupted; what was half made is removed
     */
    default PreparedImage prepare(String reference) throws InterruptedException {
        return prepare(reference, progress -> {});
    }

    /**
     * The same, and tells how it goes on.
     *
     * @param reference as in {@link ContainerSpec#image(String)}
     * @param listener is called by several threads, one at a time; it should return soon, and must not throw
     * @return what was made or found
     * @throws RequestException where there is no such image, or it is damaged
     * @throws HostException where the host fails: the store's disk is full, say
     * @throws ClosedException where the {@link Runhv} was closed, before or meanwhile
     * @throws InterruptedException where the thread is interrupted; what was half made is removed
     */
    PreparedImage prepare(String reference, Consumer<? super ContainerEvent.ImageProgress> listener)
            throws InterruptedException;
}
