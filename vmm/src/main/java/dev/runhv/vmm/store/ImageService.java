package dev.runhv.vmm.store;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.image.Platform;
import dev.runhv.vmm.image.PullProgress;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.rootfs.RootfsProgress;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * What brings images into a store and out of it, and takes its time and memory: done by this process ({@link
 * LocalImageService}), or by one that others share. All else is looked up in the store's files by whoever asks.
 *
 * <p>Each method throws {@link RunhvException} with what was attempted and why it did not work, and {@link
 * InterruptedException} when the thread is interrupted: then nothing goes on any more, and no name means anything new.
 */
public interface ImageService {
    /**
     * @param digest of what the name means: a manifest, or an index of manifests
     * @param layers how many the image has
     * @param bytes of its layers as they are stored
     */
    record Pulled(Digest digest, int layers, long bytes) {}

    /**
     * Brings an image from its registry, and lets its name mean it; where it is for this machine, its root file system is
     * made while it comes.
     *
     * @param platform of an index's images, the one that is wanted
     * @param progress is told how the layers come
     * @param making is told what a person should know of the image
     */
    Pulled pull(Reference name, Platform platform, PullProgress progress, RootfsProgress making)
            throws InterruptedException;

    /**
     * What a name means in its registry now.
     *
     * @param digest of a manifest, or of an index of manifests
     * @param layers how many there are of one image
     * @param bytes of these layers as they are stored
     */
    record Pushed(Digest digest, int layers, long bytes) {}

    /**
     * Sends an image to the registry that its name says.
     *
     * @param platform that alone is wanted; empty: of an index all where all is there, else linux/amd64
     * @param progress is told how the layers go
     * @param warned is told what a person should know of the image
     */
    Pushed push(Reference name, Optional<Platform> platform, PullProgress progress, RootfsProgress warned)
            throws InterruptedException;

    /**
     * Takes the images of an archive.
     *
     * @param archive perhaps compressed as a whole
     * @param given the name of the only image in it, in place of those that the archive says
     * @param progress is told of each layer
     * @return the names that mean these images from now on
     */
    List<Reference> load(Path archive, Optional<Reference> given, PullProgress progress) throws InterruptedException;

    /**
     * Writes named images into one archive.
     *
     * @param platform that alone is wanted; empty: of an index all where all is there, else linux/amd64
     * @param archive replaced once all is written
     */
    void save(List<Reference> names, Optional<Platform> platform, Path archive) throws InterruptedException;

    /**
     * Makes an image of one layer of a root file system's tar.
     *
     * @param name that means the image from now on
     * @param changes instructions of a Dockerfile
     * @param comment of the image's history
     * @return its ID
     */
    Digest importTar(Path tar, Reference name, List<String> changes, String comment) throws InterruptedException;
}
