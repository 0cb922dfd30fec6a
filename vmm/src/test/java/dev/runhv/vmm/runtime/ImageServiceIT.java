package dev.runhv.vmm.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import dev.runhv.api.ImageEvent;
import dev.runhv.api.PullSpec;
import dev.runhv.api.Runhv;
import dev.runhv.vmm.testing.InstalledDistribution;
import dev.runhv.vmm.testing.LoopbackRegistry;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The image service of a distribution, started by a program in a JVM of its own. */
@Timeout(300)
class ImageServiceIT {
    @TempDir
    Path folder;

    private Path home;
    private Path root;

    @BeforeEach
    void find() throws IOException {
        home = InstalledDistribution.home();
        root = Files.createTempDirectory(Path.of("/tmp"), "runhv-"); // an address is short
    }

    @AfterEach
    void stop() throws Exception {
        if (root != null) {
            assertThat(runhv("service", "stop")).isEmpty();
            try (Stream<Path> left = Files.walk(root)) {
                for (Path file : left.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            }
        }
    }

    private String runhv(String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of(home.resolve("bin/runhv").toString()));
        command.addAll(List.of(arguments));
        return output(command);
    }

    /** Of a program with the service, the store and the names of this test. */
    private String output(List<String> command) throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().remove("RUNHV_HOME");
        builder.environment()
                .putAll(Map.of(
                        "RUNHV_SERVICE",
                        "300",
                        "RUNHV_ROOT",
                        root.toString(),
                        "RUNHV_STORE",
                        folder.resolve("store").toString()));
        Process process = builder.start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(output).isZero();
        return output;
    }

    @Test
    void aProgramStartsItAndTheCommandUsesTheSameOne() throws Exception {
        try (LoopbackRegistry registry = new LoopbackRegistry()) {
            registry.serve("latest", InstalledDistribution.sources().resolve("build/images/busybox"));

            String pulled = output(List.of(
                    Path.of(System.getProperty("java.home"), "bin/java").toString(),
                    "-cp",
                    String.join(
                            File.pathSeparator,
                            System.getProperty("jdk.module.path", ""),
                            System.getProperty("java.class.path")),
                    Puller.class.getName(),
                    home.toString(),
                    registry.authority() + "/busybox"));

            assertThat(runhv("service", "status")).contains(" 1 requests so far, 0 now");
            assertThat(pulled).contains("Resolved\n", "LayerReady\n").endsWith(runhv("images", "-q", "--no-trunc"));
            assertThat(runhv("service", "status")).contains(" 2 requests so far, 0 now");
        }
    }

    /** Runs in a JVM of its own. */
    static final class Puller {
        private Puller() {}

        public static void main(String[] arguments) throws InterruptedException {
            try (Runhv runhv =
                    Runhv.builder().home(Path.of(arguments[0])).imageService().open()) {
                System.out.println(runhv.images()
                        .pull(PullSpec.image(arguments[1]).build(), Puller::tell)
                        .id());
            }
        }

        private static void tell(ImageEvent event) {
            System.out.println(event.getClass().getSimpleName());
        }
    }
}
