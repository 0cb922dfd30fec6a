package dev.runhv.vmm.image;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.Failures;
import java.nio.file.Path;

/** Where an image lies, as a user writes it: {@code oci:DIR[:TAG]}, {@code oci-archive:FILE[:TAG]} and so on. */
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
            default ->
                throw Failures.invalid(
                        operation,
                        "Images are read from local files: write oci:DIR[:TAG], oci-archive:FILE[:TAG] or"
                                + " docker-archive:FILE[:NAME] (skopeo copy docker://… oci:DIR fetches one)");
        };
    }

    private static String suffix(String tag) {
        return tag.isEmpty() ? "" : ":" + tag;
    }
}
