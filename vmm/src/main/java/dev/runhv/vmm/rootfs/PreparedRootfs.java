package dev.runhv.vmm.rootfs;

import dev.runhv.vmm.image.ImageConfig;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.List;

/**
 * The root file system of an image, whole and on disk.
 *
 * @param image the EROFS image, but for the content of files; shared by all containers of the image, never to be written
 * @param layers the rest of the image, in this order: the content of each layer's files. Shared by all images that have the
 *     layer, never to be written
 * @param config of the image
 */
public record PreparedRootfs(Path image, List<Path> layers, ImageConfig config) {
    public PreparedRootfs {
        layers = List.copyOf(layers);
    }

    /** What names the file system in the store: the same layers have the same. */
    public String key() {
        String file = image.getFileName().toString();
        return file.substring(0, file.lastIndexOf('.'));
    }

    /**
     * Opens a regular file, as {@link ErofsReader#openFile}.
     *
     * @param file an absolute path
     */
    public InputStream openFile(String file) {
        ErofsReader reader = open();
        boolean opened = false;
        try {
            InputStream content = reader.openFile(file);
            opened = true;
            return content;
        } finally {
            if (!opened) {
                reader.close();
            }
        }
    }

    /** Looks into the file system; to be closed. */
    public ErofsReader open() {
        return ErofsReader.open(image, layers);
    }
}
