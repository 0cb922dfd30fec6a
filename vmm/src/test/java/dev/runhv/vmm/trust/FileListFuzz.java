package dev.runhv.vmm.trust;

import dev.runhv.vmm.content.CorruptInputException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;

/** The list of a distribution's files: none of them is outside. */
public final class FileListFuzz {
    private static final Path HOME = Path.of("/home");

    private FileListFuzz() {}

    public static void fuzzerTestOneInput(byte[] data) {
        try {
            for (String path : DistributionCheck.parse(data).keySet()) {
                if (!HOME.resolve(path).normalize().startsWith(HOME)) {
                    throw new AssertionError(path + " is outside");
                }
            }
        } catch (CorruptInputException | InvalidPathException e) {
            return;
        }
    }
}
