package dev.runhv.vmm.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import dev.runhv.vmm.testing.InstalledDistribution;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the README shows to a Java programmer works as it stands there. */
class ReadmeProgramIT {
    private static final Pattern PROGRAM = Pattern.compile(
            "<!-- example:start -->\\s*```java\\R(?<text>.*?)```\\s*<!-- example:end -->", Pattern.DOTALL);

    @TempDir
    Path folder;

    @Test
    void theProgramIsTheExampleAndIsShort() throws IOException {
        String program = program();

        assertThat(program)
                .isEqualTo(Files.readString(InstalledDistribution.sources().resolve("examples/Hello.java")));
        assertThat(program.lines()).hasSizeLessThanOrEqualTo(15);
    }

    @Test
    void theProgramRunsAContainerAndReadsItsOutput() throws Exception {
        Path home = InstalledDistribution.home();
        Path source = folder.resolve("Hello.java");
        Files.writeString(source, program());
        ProcessBuilder java = new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Drunhv.home=" + home,
                "-Drunhv.store=" + folder.resolve("store"),
                "-p",
                home.resolve("lib/java").toString(),
                "--add-modules",
                "dev.runhv.vmm",
                source.toString());
        java.directory(InstalledDistribution.sources().toFile());
        java.redirectError(ProcessBuilder.Redirect.INHERIT);

        Process process = java.start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);

        assertThat(process.waitFor()).isZero();
        assertThat(output).startsWith("Linux 6.").endsWith("Exited[code=0]\n");
    }

    private static String program() throws IOException {
        Matcher matcher =
                PROGRAM.matcher(Files.readString(InstalledDistribution.sources().resolve("README.md")));
        assertThat(matcher.find())
                .as("README.md has a program between its markers")
                .isTrue();
        return matcher.group("text");
    }
}
