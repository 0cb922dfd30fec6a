package dev.runhv.vmm.image;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.HeldFiles;
import dev.runhv.vmm.content.StoreLease;
import dev.runhv.vmm.registry.Reference;
import java.io.BufferedOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/** Writes named images of the store into one archive. */
public final class ImageSave {
    private static final int BUFFER = 1 << 18;

    private ImageSave() {}

    /**
     * @param platform that alone is wanted; empty: of an index all where all is there, else linux/amd64
     * @param file replaced once all is written
     * @throws RunhvException where the store does not have one of them, or it is damaged; then the file is as it was
     */
    public static void save(List<Reference> names, Optional<Platform> platform, Path store, Path file)
            throws InterruptedException {
        String operation =
                "save image " + names.stream().map(Reference::toString).collect(Collectors.joining(", "));
        if (Files.exists(file) && !Files.isRegularFile(file)) {
            throw Failures.invalid(operation, file + " is no regular file: use > instead");
        }
        try (StoreLease _ = StoreLease.take(store)) {
            List<SentImage> images = new ArrayList<>();
            for (Reference name : names) {
                images.add(SentImage.find(operation, store, name, platform));
            }
            OciReader blobs = new OciReader(operation, new ImageFiles.Directory(store.resolve("registry")));
            Path folder = file.toAbsolutePath().getParent();
            Path temporary = Files.createTempFile(folder, "." + file.getFileName() + ".", ".tmp");
            try (Closeable _ = () -> HeldFiles.deleteIfExists(temporary)) {
                try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(temporary), BUFFER)) {
                    ImageArchive.write(images, blobs, out);
                }
                HeldFiles.replace(temporary, file);
            }
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of(operation, e);
        }
    }
}
