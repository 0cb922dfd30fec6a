package dev.runhv.vmm.rootfs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.condition.OS;

/** The judgement of erofs-utils on an image of ours. */
final class Fsck {
    private static final Path PROGRAM = Path.of("/usr/bin/fsck.erofs");

    private Fsck() {}

    static boolean isInstalled() {
        return !OS.WINDOWS.isCurrentOs() && Files.isExecutable(PROGRAM);
    }

    static void requireInstalled() {
        assumeTrue(isInstalled(), "fsck.erofs is not installed (package erofs-utils of a Linux)");
    }

    static void accepts(Path image, String... options) {
        List<String> command = new ArrayList<>(List.of(PROGRAM.toString()));
        command.addAll(List.of(options));
        command.add(image.toString());
        try {
            Process process =
                    new ProcessBuilder(command).redirectErrorStream(true).start();
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertThat(process.waitFor()).as(output).isZero();
            assertThat(output).doesNotContain("<E>");
        } catch (IOException e) {
            throw new AssertionError(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(e);
        }
    }
}
