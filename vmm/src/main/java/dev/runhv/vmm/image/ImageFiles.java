package dev.runhv.vmm.image;

import dev.runhv.vmm.content.CorruptInputException;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The files of an image, by name with forward slashes: those of a folder, or those in an archive. */
interface ImageFiles extends Closeable {
    /** Tells that a blob will be read, before anything is asked about its file: it may have to be fetched. */
    default void need(Descriptor descriptor) throws IOException {}

    /** The same of layers, in any order. */
    default void need(List<Descriptor> layers) throws IOException {}

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
            Path file = root.resolve(name);
            return Files.isRegularFile(file) ? Files.size(file) : -1;
        }

        @Override
        public InputStream open(String name) throws IOException {
            return Files.newInputStream(root.resolve(name));
        }

        @Override
        public void close() {}
    }
}
