package dev.runhv.vmm.runtime;

import dev.runhv.vmm.content.Failures;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * What a container needs of the host's files while it starts and runs, closed to other users.
 *
 * @param path the folder
 */
record WorkFolder(Path path) {
    static WorkFolder create(String id) {
        try {
            return new WorkFolder(Files.createTempDirectory("runhv-").toAbsolutePath());
        } catch (IOException e) {
            throw Failures.of("make a folder for container " + id, e);
        }
    }

    Path bundle() {
        return path.resolve("bundle");
    }

    /** Also when the micro-VM did not come to remove its bundle. A file that resists is left to the system's clean-up. */
    void remove() {
        for (Path file : List.of(bundle().resolve("config.json"), bundle(), path.resolve("launcher"), path)) {
            try {
                Files.deleteIfExists(file);
            } catch (IOException e) {
                return;
            }
        }
    }
}
