package dev.runhv.api;

import java.io.InputStream;
import java.nio.file.Path;
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
     * @throws HostException where the host fails, the registry cannot be reached, or it or the signature policy refuses
     * @throws ClosedException where the {@link Runhv} was closed, before or meanwhile
     * @throws InterruptedException where the thread is interrupted; what has come stays for the next time
     */
    default Image pull(String name) throws InterruptedException {
        return pull(PullSpec.image(name).build(), event -> {});
    }

    /**
     * The same, with more to say, and tells how it goes on.
     *
     * <pre>{@code
     * try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
     *     Future<Image> pull = threads.submit(
     *             () -> runhv.images().pull(PullSpec.image("postgres:17").build(), System.out::println));
     *     pull.cancel(true); // what has come stays for the next time
     * }
     * }</pre>
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
     * Sends an image to the registry that its name says, with the same bytes and digests: what the registry does not have of
     * it, then the name. Of an image for several platforms all are sent where the store has all, else that for linux/amd64.
     * {@link #tag} gives an image the name of another registry first.
     *
     * @param nameOrId of an image in the store; an ID that has one name
     * @return {@code sha256:…}, what the name means in the registry now: a manifest, or an index of manifests
     * @throws RequestException where there is none, or an ID has several names, or it is damaged
     * @throws HostException where the host fails, the registry cannot be reached, or refuses
     * @throws ClosedException where the {@link Runhv} was closed, before or meanwhile
     * @throws InterruptedException where the thread is interrupted; the name means there what it meant before
     */
    default String push(String nameOrId) throws InterruptedException {
        return push(nameOrId, event -> {});
    }

    /**
     * The same, and tells how it goes on.
     *
     * @param nameOrId of an image in the store; an ID that has one name
     * @param listener is called by several threads, one at a time; it should return soon. What it throws ends the push, and
     *     is thrown here
     * @return what the name means in the registry now
     * @throws RunhvException as {@link #push(String)}
     * @throws InterruptedException where the thread is interrupted; the name means there what it meant before
     */
    String push(String nameOrId, Consumer<? super ImageEvent> listener) throws InterruptedException;

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

    /**
     * Opens a regular file in an image. Symbolic links on the way are followed inside the image. The image's root file system
     * is made first where that was not done before.
     *
     * <pre>{@code
     * try (InputStream release = runhv.images().openFile("debian:12", "/etc/os-release")) {
     *     System.out.write(release.readAllBytes());
     * }
     * }</pre>
     *
     * @param nameOrId of an image in the store
     * @param path absolute
     * @return its content, for one thread, to be closed. What is deleted from the store meanwhile can still be read
     * @throws RequestException where there is no such image or file, or it is no regular file
     * @throws HostException where the host fails
     * @throws InterruptedException where the thread is interrupted; what was half made is removed
     */
    InputStream openFile(String nameOrId, String path) throws InterruptedException;

    /**
     * Opens a layer, or something else that an image names by its digest, as it is stored: a layer is a tar, perhaps
     * compressed ({@link ImageLayer#mediaType()}).
     *
     * @param digest {@link ImageLayer#digest()} or {@link Image#digest()}
     * @return the bytes, for one thread, to be closed. Where they do not match the digest, reading the last of them throws
     *     {@link java.io.IOException}
     * @throws RequestException where the store does not have it, or it is no digest
     * @throws HostException where the host fails
     */
    InputStream openBlob(String digest);

    /**
     * Takes the images of an archive into the store: an OCI layout in a tar, or what {@code docker save}, {@code podman save},
     * {@code ctr image export}, {@code skopeo} and {@code buildah} write, perhaps compressed by gzip or zstd.
     *
     * @param archive the file
     * @return the names that mean these images from now on
     * @throws RequestException where there is no such file, it is damaged, holds no image, or one without a name
     * @throws HostException where the host fails, or the signature policy refuses
     * @throws InterruptedException where the thread is interrupted; then no name means anything new
     */
    default List<String> load(Path archive) throws InterruptedException {
        return load(archive, event -> {});
    }

    /**
     * The same, and tells of each layer that is there.
     *
     * @param archive the file
     * @param listener is called by one thread, not always the caller's; what it throws ends the load, and is thrown here
     * @return the names that mean these images from now on
     * @throws RunhvException as {@link #load(Path)}
     * @throws InterruptedException where the thread is interrupted; then no name means anything new
     */
    List<String> load(Path archive, Consumer<? super ImageEvent> listener) throws InterruptedException;

    /**
     * Takes the only image of an archive into the store, by a name of one's own.
     *
     * @param archive the file
     * @param name in place of those that the archive says
     * @param listener is called by one thread, not always the caller's; what it throws ends the load, and is thrown here
     * @return the name
     * @throws RunhvException as {@link #load(Path)}; also where the archive holds several images
     * @throws InterruptedException where the thread is interrupted; the name means what it meant before
     */
    List<String> load(Path archive, String name, Consumer<? super ImageEvent> listener) throws InterruptedException;

    /**
     * Writes images into one archive that {@link #load(Path)}, docker, podman, containerd and skopeo take. Of an image for
     * several platforms all are in it where the store has all, else that for linux/amd64. The same images are the same bytes.
     *
     * @param names of images in the store
     * @param archive the file, which has its name, and replaces another, when all is written
     * @throws RequestException where the store does not have one of them, or it is damaged
     * @throws HostException where the host fails
     * @throws InterruptedException where the thread is interrupted; the file is as it was
     */
    void save(List<String> names, Path archive) throws InterruptedException;

    /**
     * Makes an image for linux/amd64 of one layer: the tar of a root file system, perhaps compressed by gzip or zstd.
     *
     * @param tar the file
     * @param name that means the image from now on
     * @param changes of its configuration, by the instructions of a Dockerfile that {@code runhv import --change} takes
     * @return the {@link Image#id()}
     * @throws RequestException where there is no such file, it is no tar, or a change is not understood
     * @throws HostException where the host fails
     * @throws InterruptedException where the thread is interrupted; the name means what it meant before
     */
    String importTar(Path tar, String name, List<String> changes) throws InterruptedException;

    /**
     * Writes an EROFS image, uncompressed, as a block device of a guest may have it. The same entries give the same bytes.
     *
     * <pre>{@code
     * List<TreeEntry> entries = List.of(
     *         TreeEntry.directory("/etc").mode(0755).build(),
     *         TreeEntry.file("/etc/motd", FileContent.of("hello\n".getBytes())).owner(0, 0).build(),
     *         TreeEntry.symbolicLink("/motd", "etc/motd").build());
     * runhv.images().writeErofs(entries, Path.of("root.erofs"));
     * }</pre>
     *
     * @param entries each after the folder that it is in, where that has an entry, and hard links after what they name. Of
     *     two with one path the later one counts
     * @param image the file, which has its name, and replaces another, when all is written
     * @throws RequestException where an entry cannot be, named with its path; no file is left
     * @throws UnsupportedException where a name begins with {@code .wh.}; no file is left
     * @throws HostException where the host fails
     * @throws InterruptedException where the thread is interrupted; no file is left
     */
    void writeErofs(List<TreeEntry> entries, Path image) throws InterruptedException;

    /**
     * Writes an EROFS image of a folder of the host, with modes, owners, times, links and devices, and extended attributes of
     * the namespace {@code user}: others the JDK does not read. The same tree gives the same bytes.
     *
     * @param directory becomes the root
     * @param image the file, which has its name, and replaces another, when all is written
     * @throws RequestException where there is no such folder; {@link UnsupportedException} where it holds a socket or a name
     *     that is no UTF-8, or the host has no such attributes
     * @throws HostException where the host fails
     * @throws InterruptedException where the thread is interrupted; no file is left
     */
    void writeErofs(Path directory, Path image) throws InterruptedException;
}
