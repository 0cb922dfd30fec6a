package dev.runhv.vmm.image;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.registry.Reference;
import java.nio.file.Path;

/** Where an image lies, as a user writes it: {@code NAME}, {@code oci:DIR[:TAG]} and so on. */
public sealed interface ImageReference {
    /** A folder in the OCI image layout. An empty tag means the only image there is. */
    record OciLayout(Path directory, String tag) implements ImageReference {
        @Override
        public String toString() {
            return "oci:" + directory + suffix(tag);
        }
    }

    /** A tar of an OCI image layout, possibly compressed. An empty tag means the only image there is. */
    record OciArchive(Path file, String tag) implements ImageReference {
        @Override
        public String toString() {
            return "oci-archive:" + file + suffix(tag);
        }
    }

    /** What {@code docker save} writes. An empty name means the only image there is. */
    record DockerArchive(Path file, String name) implements ImageReference {
        @Override
        public String toString() {
            return "docker-archive:" + file + suffix(name);
        }
    }

    /** In a registry, or pulled from there before. */
    record InRegistry(Reference name) implements ImageReference {
        @Override
        public String toString() {
            return "docker://" + name;
        }
    }

    /** @throws RunhvException with {@code INVALID_ARGUMENT}, saying what to write instead */
    static ImageReference parse(String text) {
        String operation = "read the image name \"" + text + "\"";
        int colon = text.indexOf(':');
        String transport = colon < 0 ? "" : text.substring(0, colon);
        String rest = text.substring(colon + 1);
        return switch (transport) {
            case "oci" -> {
                PathAndTag place = PathAndTag.split(operation, rest);
                yield new OciLayout(place.path(), place.tag());
            }
            case "oci-archive" -> {
                PathAndTag place = PathAndTag.split(operation, rest);
                yield new OciArchive(place.path(), place.tag());
            }
            case "docker-archive" -> {
                PathAndTag place = PathAndTag.split(operation, rest);
                yield new DockerArchive(place.path(), place.tag());
            }
            case "docker" -> new InRegistry(Reference.parse(rest.startsWith("//") ? rest.substring(2) : text));
            default -> new InRegistry(Reference.parse(text));
        };
    }

    private static String suffix(String tag) {
        return tag.isEmpty() ? "" : ":" + tag;
    }
}
