package dev.runhv.vmm.image;

import dev.runhv.vmm.content.CorruptInputException;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.List;
import java.util.Optional;

/** The files of an image, by name with forward slashes: those of a folder, or those in an archive. */
interface ImageFiles extends Closeable {
    /** Tells that a blob will be read, before anything is asked about its file: it may have to be fetched. */
    default void need(Descriptor descriptor) throws IOException {}

    /** Tells which manifest is wanted, before anything of what it lists: it may have to be let in. */
    default void chosen(Descriptor manifest) throws IOException {}

    /** Tells which layers will be read, before the first of them: there may be no room for them. */
    default void expect(List<Descriptor> layers) throws IOException {}

    /** Whether layers come when they are read: before, there need be no files of them. */
    default boolean areLayersToCome() {
        return false;
    }

    /** The bytes of a layer that comes now; empty where its file is there. To be closed by the thread that asks. */
    default Optional<InputStream> incoming(Descriptor layer) throws IOException {
        return Optional.empty();
    }

    /**
     * Sees to it that the file of a layer stays with the image.
     *
     * @return whether it was not there, and was fetched
     */
    default boolean keep(Descriptor layer) throws IOException {
        return false;
    }

    /** All of the image is where it stays. */
    default void complete() throws IOException {}

    /** Bytes, or -1 where there is no such file. */
    long size(String name) throws IOException;

    /** @throws IOException where there is none */
    InputStream open(String name) throws IOException;

    /** Small files whole. */
    default byte[] read(String name, int limit) throws IOException {
        long size = size(name);
        if (size < 0) {
            throw new CorruptInputException(name + " is missing");
        }
        if (size > limit) {
            throw new CorruptInputException("%s has %d bytes, more than %d".formatted(name, size, limit));
        }
        try (InputStream in = open(name)) {
            byte[] content = in.readNBytes((int) size);
            if (content.length < size) {
                throw new CorruptInputException(name + " ends too early: it is truncated");
            }
            return content;
        }
    }

    /** The files under a folder of the host. */
    record Directory(Path root) implements ImageFiles {
        @Override
        public long size(String name) throws IOException {
            try {
                BasicFileAttributes file = Files.readAttributes(root.resolve(name), BasicFileAttributes.class);
                return file.isRegularFile() ? file.size() : -1;
            } catch (FileSystemException e) {
                return -1;
            }
        }

        @Override
        public InputStream open(String name) throws IOException {
            return Files.newInputStream(root.resolve(name));
        }

        @Override
        public void close() {}
    }
}
