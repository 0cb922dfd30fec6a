package dev.runhv.vmm.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import dev.runhv.vmm.testing.InstalledDistribution;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the README shows to a Java programmer works as it stands there. */
class ReadmeProgramIT {
    private static final Pattern PROGRAM = Pattern.compile(
            "<!-- example:start -->\\s*```java\\R(?<text>.*?)```\\s*<!-- example:end -->", Pattern.DOTALL);

    private static final Pattern COMMAND =
            Pattern.compile("<!-- example:end -->\\s*```sh\\R(?<text>.*?)```", Pattern.DOTALL);

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
        // The command line as it stands there, with what is where on this machine.
        List<String> command = new ArrayList<>(List.of(command().split(" ")));
        command.replaceAll(word -> word.replace(
                        "\"$JAVA_HOME/bin/java\"",
                        Path.of(System.getProperty("java.home"), "bin", "java").toString())
                .replace("build/dist", home.toString())
                .replace("examples/Hello.java", source.toString()));
        command.add(1, "-Drunhv.store=" + folder.resolve("store"));
        ProcessBuilder java = new ProcessBuilder(command);
        java.directory(InstalledDistribution.sources().toFile());
        Path errors = folder.resolve("errors");
        java.redirectError(errors.toFile());

        Process process = java.start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);

        assertThat(errors).as("no warning of the JVM").isEmptyFile();
        assertThat(process.waitFor()).isZero();
        assertThat(output).startsWith("Linux 6.").endsWith("Exited[code=0]\n");
    }

    private static String command() throws IOException {
        Matcher matcher =
                COMMAND.matcher(Files.readString(InstalledDistribution.sources().resolve("README.md")));
        assertThat(matcher.find())
                .as("README.md has a command below its program")
                .isTrue();
        return matcher.group("text")
                .replace("\\\n", " ")
                .replaceAll("\\s+", " ")
                .strip();
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
