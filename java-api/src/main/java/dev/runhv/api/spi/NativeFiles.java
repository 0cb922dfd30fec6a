package dev.runhv.api.spi;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.NoSuchFileException;

/**
 * A part of a distribution in a jar, for programs that have none installed: is implemented by each jar of native files;
 * found by {@link java.util.ServiceLoader}. May be called by several threads.
 */
public interface NativeFiles {
    /** The file that lists the others, as {@code sha256sum} does: 64 digits, two spaces, a path as in a distribution. */
    String LIST = "SHA256SUMS";

    /**
     * Whether these files are of use on a host.
     *
     * @param platform operating system and processor, for instance {@code linux-x86_64}
     * @return whether they are to be unpacked there
     */
    boolean isFor(String platform);

    /**
     * Where they are among the resources of the jar.
     *
     * @return below {@code META-INF}, which no module closes, and in a folder of this jar's own
     */
    String folder();

    /**
     * Opens a file.
     *
     * @param path {@link #LIST}, or one that it lists
     * @return to be closed
     * @throws IOException where the jar cannot be read, or does not have it
     */
    default InputStream open(String path) throws IOException {
        InputStream stream = getClass().getResourceAsStream("/" + folder() + "/" + path);
        if (stream == null) {
            throw new NoSuchFileException(folder() + "/" + path);
        }
        return stream;
    }
}
