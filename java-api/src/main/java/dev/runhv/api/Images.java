package dev.runhv.api;

import java.util.List;
import java.util.function.Consumer;

/**
 * The images of a {@link Runhv} and their root file systems. May be used by any number of threads.
 *
 * <pre>{@code
 * Image image = runhv.images().pull("docker.io/library/busybox:1.36");
 * runhv.images().tag(image.id(), "example.org/mine:1");
 * System.out.println(runhv.images().inspect("example.org/mine:1").layers().size());
 * }</pre>
 *
 * <p>The store is shared with the {@code runhv} command and with other programs of the user: what one of them pulls is there
 * for all, two that want one layer fetch it once, and nothing is removed that another one uses.
 *
 * <p>A pull is cancelled by interrupting its thread, so by {@code cancel(true)} of the future of an executor that it runs on.
 * Layers that had come whole stay in the store, what had come of others stays for the next attempt, and the name means what
 * it meant before.
 *
 * <p>Where an argument is called {@code nameOrId} it is a name, a name with the digest of what it means, an ID, or as much of
 * the beginning of an ID as no other one has. Methods that only look throw {@link ClosedException} as well, and
 * {@link HostException} where the store cannot be read.
 */
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

    /**
     * Brings an image from its registry into the store, ready to run, and lets its name mean it. What is there already is not
     * fetched again. Registries, credentials and proxies are those of the {@code runhv} command.
     *
     * @param name {@code [REGISTRY/]NAME[:TAG]} or {@code [REGISTRY/]NAME@DIGEST}, with docker's defaults
     * @return what the name means now
     * @throws RequestException where there is no such image, it is damaged, or it is not for linux/amd64
     * @throws HostException where the host fails, the registry cannot be reached, or it refuses
     * @throws ClosedException where the {@link Runhv} was closed, before or meanwhile
     * @throws InterruptedException where the thread is interrupted; what has come stays for the next time
     */
    default Image pull(String name) throws InterruptedException {
        return pull(PullSpec.image(name).build(), event -> {});
    }

    /**
     * The same, with more to say, and tells how it goes on.
     *
     * @param spec what to pull
     * @param listener is called by several threads, one at a time; it should return soon. What it throws ends the pull, and
     *     is thrown here
     * @return what the name means now
     * @throws RunhvException as {@link #pull(String)}
     * @throws InterruptedException where the thread is interrupted; what has come stays for the next time
     */
    Image pull(PullSpec spec, Consumer<? super ImageEvent> listener) throws InterruptedException;

    /**
     * The names in the store.
     *
     * @return in their order
     */
    List<Image> list();

    /**
     * What a name or a part of an ID means.
     *
     * @param nameOrId of an image in the store
     * @return its {@link Image#id()}
     * @throws RequestException where there is none, or several
     */
    String resolve(String nameOrId);

    /**
     * What an image says of itself, and what it takes.
     *
     * @param nameOrId of an image in the store
     * @return all of it
     * @throws RequestException where there is none, or several; or it is damaged, or an index of images of which none is for
     *     linux/amd64
     */
    ImageDetails inspect(String nameOrId);

    /**
     * Gives an image one more name, in place of what the name meant before.
     *
     * @param nameOrId of an image in the store
     * @param name the new one
     * @throws RequestException where there is none, or several, or it is no name
     * @throws HostException where the store cannot be written
     * @throws InterruptedException where the thread is interrupted; the name means what it meant before
     */
    void tag(String nameOrId, String name) throws InterruptedException;

    /**
     * Removes a name, or all names of an ID; with the last one the image, but for what other images or containers need.
     *
     * @param nameOrId of an image in the store
     * @return what is gone
     * @throws RequestException where there is none, or several; with {@link ErrorCode#CONFLICT} where an ID has names in
     *     several repositories, or a container runs from the image. Nothing is removed then
     * @throws HostException where the store cannot be written
     */
    RemovedImages delete(String nameOrId);
}
