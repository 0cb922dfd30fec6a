package dev.runhv.vmm.image;

import dev.runhv.vmm.content.Failures;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** The checks that every kind of image must pass. */
final class ImageContents {
    interface LayerAt {
        Layer layer(int index) throws IOException;
    }

    private ImageContents() {}

    static ImageSource.Contents checked(
            String operation, Platform wanted, ImageConfig config, byte[] configText, int count, LayerAt source)
            throws IOException {
        requireFit(operation, wanted, config, count);
        List<Layer> layers = new ArrayList<>();
        for (int index = 0; index < count; index++) {
            layers.add(source.layer(index));
        }
        return new ImageSource.Contents(config, configText, List.copyOf(layers));
    }

    /** What can be said before there are layers. */
    static void requireFit(String operation, Platform wanted, ImageConfig config, int count) {
        // The configuration's platform is the authoritative one (OCI image 1.1 config.md).
        Platform platform = new Platform(config.os(), config.architecture(), "");
        if (platform.distanceFrom(wanted) < 0) {
            throw Failures.unsupported(operation, "It is for " + platform + ", not for " + wanted);
        }
        requireLayers(operation, config, count);
    }

    static void requireLayers(String operation, ImageConfig config, int count) {
        if (config.diffIds().size() != count) {
            throw Failures.corrupt(
                    operation,
                    "Its configuration lists %d diff_ids for %d layers"
                            .formatted(config.diffIds().size(), count));
        }
    }
}
