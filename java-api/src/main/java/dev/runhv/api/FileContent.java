package dev.runhv.api;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** The content of a file that is to be written. May be implemented by anybody. */
public interface FileContent {
    /**
     * How many bytes it has. Asked for before it is opened.
     *
     * @return as many as {@link #open()} gives
     * @throws IOException where that cannot be said
     */
    long bytes() throws IOException;

    /**
     * Opens it.
     *
     * @return to be read once, and closed
     * @throws IOException where it cannot be opened
     */
    InputStream open() throws IOException;

    /**
     * Content in memory.
     *
     * @param bytes copied
     * @return the content
     */
    static FileContent of(byte[] bytes) {
        byte[] copy = bytes.clone();
        return new FileContent() {
            @Override
            public long bytes() {
                return copy.length;
            }

            @Override
            public InputStream open() {
                return new ByteArrayInputStream(copy);
            }
        };
    }

    /**
     * The content of a file of the host.
     *
     * @param file read when it is needed
     * @return the content
     */
    static FileContent of(Path file) {
        return new FileContent() {
            @Override
            public long bytes() throws IOException {
                return Files.size(file);
            }

            @Override
            public InputStream open() throws IOException {
                return Files.newInputStream(file);
            }
        };
    }
}
