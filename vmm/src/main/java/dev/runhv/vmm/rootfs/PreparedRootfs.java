package dev.runhv.vmm.rootfs;

import dev.runhv.vmm.image.ImageConfig;
import java.nio.file.Path;

/**
 * The root file system of an image, whole and on disk.
 *
 * @param image the EROFS image; shared by all containers of the image, never to be written
 * @param config of the image
 */
public record PreparedRootfs(Path image, ImageConfig config) {
    /** What names the file system in the store: the same layers have the same. */
    public String key() {
        String file = image.getFileName().toString();
        return file.substring(0, file.lastIndexOf('.'));
    }

    /** Looks into the file system; to be closed. */
    public ErofsReader open() {
        return ErofsReader.open(image);
    }
}
