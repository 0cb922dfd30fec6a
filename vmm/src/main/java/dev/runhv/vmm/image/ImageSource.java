package dev.runhv.vmm.image;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.trust.SignaturePolicy;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * An image that was found and whose manifest and configuration were read and verified; its layers can be read, each any
 * number of times and several at once. All else is not for several threads.
 */
public final class ImageSource implements AutoCloseable {
    private final ImageReference reference;
    private final ImageFiles files;
    private final ImageConfig config;
    private final byte[] configText;
    private final List<Layer> layers;

    private ImageSource(ImageReference reference, ImageFiles files, Contents contents) {
        this.reference = reference;
        this.files = files;
        this.config = contents.config;
        this.configText = contents.configText;
        this.layers = contents.layers;
    }

    /** What the readers of the formats find. */
    record Contents(ImageConfig config, byte[] configText, List<Layer> layers) {}

    /**
     * @param store where what comes from a registry is kept, and found again
     * @throws RunhvException when there is no such image, or it is damaged, or it is not for linux/amd64
     * @throws InterruptedException while a compressed archive is decompressed, or something is fetched
     */
    public static ImageSource open(ImageReference reference, Path store) throws InterruptedException {
        String operation = operation(reference);
        try {
            return switch (reference) {
                case ImageReference.OciLayout(Path directory, String tag) -> {
                    if (!Files.isDirectory(directory)) {
                        throw Failures.notFound(operation, "No such image: there is no folder " + directory);
                    }
                    requireAdmitted(reference);
                    ImageFiles files = new ImageFiles.Directory(directory);
                    yield new ImageSource(reference, files, new OciReader(operation, files).read(tag));
                }
                case ImageReference.OciArchive(Path file, String tag) -> {
                    ImageFiles files = openArchive(reference, file);
                    yield finish(reference, files, () -> new OciReader(operation, files).read(tag));
                }
                case ImageReference.DockerArchive(Path file, String name) -> {
                    ImageFiles files = openArchive(reference, file);
                    yield finish(reference, files, () -> new DockerReader(operation, files).read(name));
                }
                case ImageReference.InRegistry(Reference name) ->
                    pull(name, store, PullPolicy.MISSING, PullProgress.NONE);
            };
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of(operation, e);
        }
    }

    /** As the next, for what runs here. */
    public static ImageSource pull(Reference name, Path store, PullPolicy policy, PullProgress progress)
            throws InterruptedException {
        return pull(name, store, policy, Platform.HERE, progress);
    }

    /**
     * An image by its name. Its layers come when they are read, each kept in the store; {@link #keep} brings the others.
     *
     * @param platform of an index's images, the one that is wanted
     * @param progress is told how they come
     * @throws RunhvException as {@link #open}; also when it may not be fetched, with {@code NOT_FOUND}
     * @throws InterruptedException while it is fetched; what has come stays for the next time
     */
    public static ImageSource pull(
            Reference name, Path store, PullPolicy policy, Platform platform, PullProgress progress)
            throws InterruptedException {
        ImageReference reference = new ImageReference.InRegistry(name);
        String operation = operation(reference);
        try {
            RegistryFiles files = new RegistryFiles(name, store, policy, progress);
            return finish(reference, files, () -> new OciReader(operation, files, platform, Documents.READ).read(""));
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of(operation, e);
        }
    }

    /**
     * Sees to it that all of an image of a registry is in the store; from then on its name means it.
     *
     * @throws InterruptedException while something is fetched; what has come stays for the next time
     */
    public void keep() throws InterruptedException {
        try {
            for (Layer layer : layers) {
                layer.keep();
            }
            files.complete();
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of(operation(reference), e);
        }
    }

    /** The manifest, or the index of manifests, that the name of a registry means; empty for an image from elsewhere. */
    public Optional<Digest> registryDigest() {
        try {
            return files instanceof RegistryFiles pulled ? Optional.of(pulled.digest()) : Optional.empty();
        } catch (IOException e) {
            throw Failures.of(operation(reference), e);
        }
    }

    /** Whether it is an archive that is compressed as a whole: to open it is to decompress all of it. */
    public static boolean isCompressedArchive(ImageReference reference) {
        try {
            return switch (reference) {
                case ImageReference.OciLayout layout -> false;
                case ImageReference.OciArchive(Path file, String tag) -> ArchiveFiles.isCompressed(file);
                case ImageReference.DockerArchive(Path file, String name) -> ArchiveFiles.isCompressed(file);
                case ImageReference.InRegistry name -> false;
            };
        } catch (IOException e) {
            throw Failures.of(operation(reference), e);
        }
    }

    /**
     * Asks the signature policy whether an image of this host may come in, which {@link #open} does too; one of a registry is
     * looked at when it is pulled.
     *
     * @throws RunhvException where it may not
     */
    public static void requireAdmitted(ImageReference reference) {
        String operation = operation(reference);
        SignaturePolicy policy = SignaturePolicy.current();
        try {
            switch (reference) {
                case ImageReference.OciLayout(Path directory, String _) ->
                    policy.require(operation, "oci", List.of(directory));
                case ImageReference.OciArchive(Path file, String _) ->
                    policy.require(operation, "oci-archive", List.of(file));
                case ImageReference.DockerArchive _ -> policy.require(operation, "docker-archive", List.of());
                case ImageReference.InRegistry _ -> {}
            }
        } catch (IOException e) {
            throw Failures.of(operation, e);
        }
    }

    public ImageReference reference() {
        return reference;
    }

    public ImageConfig config() {
        return config;
    }

    /** The configuration as it is stored, not to be changed: {@link ImageConfig#parse} gives {@link #config} of it. */
    public byte[] configText() {
        return configText;
    }

    /** Lowest first, as many as the configuration has diff_ids. */
    public List<Layer> layers() {
        return layers;
    }

    @Override
    public void close() {
        try {
            files.close();
        } catch (IOException e) {
            throw Failures.of(operation(reference), e);
        }
    }

    /** For messages of whoever reads the layers. */
    public static String operation(ImageReference reference) {
        return "read image " + reference;
    }

    private interface Reading {
        Contents read() throws IOException;
    }

    private static ImageSource finish(ImageReference reference, ImageFiles files, Reading reading) throws IOException {
        boolean opened = false;
        try {
            ImageSource source = new ImageSource(reference, files, reading.read());
            opened = true;
            return source;
        } finally {
            if (!opened) {
                files.close();
            }
        }
    }

    private static ImageFiles openArchive(ImageReference reference, Path file) throws IOException {
        if (!Files.exists(file)) {
            throw Failures.notFound(operation(reference), "No such image: there is no file " + file);
        }
        requireAdmitted(reference);
        return ArchiveFiles.open(file);
    }
}
