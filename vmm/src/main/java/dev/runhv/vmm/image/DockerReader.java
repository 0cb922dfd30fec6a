package dev.runhv.vmm.image;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.Json;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * Reads what {@code docker save} writes: manifest.json, a configuration and a tar for each layer. It has no digests of
 * its own; what the configuration's diff_ids say is checked when the layers are read, and the configuration where its
 * name is its digest.
 */
final class DockerReader {
    record Image(String config, List<String> names, List<String> layers) {}

    private final String operation;
    private final ImageFiles files;

    DockerReader(String operation, ImageFiles files) {
        this.operation = operation;
        this.files = files;
    }

    ImageSource.Contents read(String name) throws IOException {
        Image image = named(images(), name);
        byte[] text = configText(image);
        ImageConfig config = config(image, text);
        return ImageContents.checked(operation, Platform.HERE, config, text, image.layers.size(), index -> {
            String path = image.layers.get(index);
            long size = files.size(path);
            if (size < 0) {
                throw Failures.corrupt(operation, "The layer " + path + " is missing");
            }
            return new Layer("layer " + path, config.diffIds().get(index), size, () -> files.open(path));
        });
    }

    List<Image> images() throws IOException {
        if (files.size("manifest.json") < 0) {
            throw Failures.corrupt(
                    operation,
                    files.size("index.json") >= 0
                            ? "Not an archive of docker save but an OCI archive: write oci-archive:"
                            : "Not an archive of docker save: it has no manifest.json");
        }
        try {
            List<Image> images = new ArrayList<>();
            for (Json entry : Json.parseArray(files.read("manifest.json", ImageLimits.MANIFEST_BYTES))) {
                List<String> layers = entry.strings("Layers");
                if (layers.size() > ImageLimits.LAYERS) {
                    throw new CorruptInputException(
                            "It has %d layers, more than %d".formatted(layers.size(), ImageLimits.LAYERS));
                }
                images.add(new Image(entry.string("Config"), entry.strings("RepoTags"), layers));
            }
            return images;
        } catch (CorruptInputException e) {
            throw Failures.corrupt(operation, "The manifest.json cannot be used: " + e.getMessage());
        }
    }

    private Image named(List<Image> images, String name) {
        List<String> known = new ArrayList<>();
        for (Image image : images) {
            known.addAll(image.names);
        }
        String list = known.isEmpty() ? "the image has no name" : "there is " + String.join(", ", known);
        if (name.isEmpty()) {
            if (images.size() == 1) {
                return images.getFirst();
            }
            throw Failures.invalid(
                    operation, images.isEmpty() ? "It holds no image" : "It holds several images: name one; " + list);
        }
        for (Image image : images) {
            if (image.names.contains(name) || image.names.contains(name + ":latest")) {
                return image;
            }
        }
        throw Failures.notFound(operation, "No such tag: " + name + "; " + list);
    }

    byte[] configText(Image image) throws IOException {
        try {
            byte[] text = files.read(image.config, ImageLimits.CONFIG_BYTES);
            String file = image.config.substring(image.config.lastIndexOf('/') + 1);
            String stem = file.endsWith(".json") ? file.substring(0, file.length() - 5) : file;
            // docker and podman name it by its digest; others by any name.
            if (stem.matches("[0-9a-f]{64}")) {
                Digest actual = Digest.sha256(text);
                if (!actual.hex().equals(stem)) {
                    throw new CorruptInputException(
                            "it does not match its digest: expected sha256:%s, its content has %s"
                                    .formatted(stem, actual));
                }
            }
            return text;
        } catch (CorruptInputException e) {
            throw unusable(image, e);
        }
    }

    ImageConfig config(Image image, byte[] text) {
        try {
            return ImageConfig.parse(text);
        } catch (CorruptInputException e) {
            throw unusable(image, e);
        }
    }

    private RunhvException unusable(Image image, CorruptInputException e) {
        return Failures.corrupt(operation, "The configuration " + image.config + " cannot be used: " + e.getMessage());
    }
}
