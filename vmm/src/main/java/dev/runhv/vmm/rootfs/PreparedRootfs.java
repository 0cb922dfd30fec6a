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
    /** Looks into the file system; to be closed. */
    public ErofsReader open() {
        return ErofsReader.open(image);
    }
}
