package dev.runhv.vmm.image;

import dev.runhv.vmm.content.Failures;
import java.io.File;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;

/** What follows the transport in an image's name: a path, and after a colon a tag; empty where there is none. */
record PathAndTag(Path path, String tag) {
    static PathAndTag split(String operation, String text) {
        int colon = separator(text);
        String path = colon < 0 ? text : text.substring(0, colon);
        String tag = colon < 0 ? "" : text.substring(colon + 1);
        if (path.isEmpty()) {
            throw Failures.invalid(operation, "The path is missing: write for instance oci:/images/web:latest");
        }
        if (colon >= 0 && tag.isEmpty()) {
            throw Failures.invalid(operation, "The tag after the last colon is empty: name one or drop the colon");
        }
        try {
            return new PathAndTag(Path.of(path), tag);
        } catch (InvalidPathException e) {
            throw Failures.invalid(operation, "Not a path on this system: " + e.getMessage());
        }
    }

    // skopeo and podman split at the first colon; a Windows path has one of its own after the drive letter.
    private static int separator(String text) {
        boolean drive = File.separatorChar == '\\'
                && text.length() > 2
                && text.charAt(1) == ':'
                && Character.isLetter(text.charAt(0))
                && (text.charAt(2) == '\\' || text.charAt(2) == '/');
        return text.indexOf(':', drive ? 2 : 0);
    }
}
