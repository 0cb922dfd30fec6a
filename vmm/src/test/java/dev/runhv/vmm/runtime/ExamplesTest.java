package dev.runhv.vmm.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.core.JsonFactory;
import dev.runhv.api.Runhv;
import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.spi.ToolProvider;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What nobody else compiles does: programs in no module, and examples in the documentation of the API. */
class ExamplesTest {
    private static final Path SOURCES =
            Path.of(System.getProperty("basedir")).toAbsolutePath().getParent();

    private static final Pattern EXAMPLE = Pattern.compile("<pre>\\{@code\n(.*?)\n *\\* *\\}</pre>", Pattern.DOTALL);

    @TempDir
    Path folder;

    static Stream<Path> programs() throws IOException {
        try (Stream<Path> examples = Files.list(SOURCES.resolve("examples"))) {
            List<Path> found =
                    examples.filter(file -> file.toString().endsWith(".java")).toList();
            return Stream.concat(
                    found.stream(),
                    Stream.of(
                            SOURCES.resolve("benchmarks/soak/Soak.java"),
                            SOURCES.resolve("benchmarks/side_by_side/Starts.java")));
        }
    }

    @ParameterizedTest
    @MethodSource("programs")
    void aProgramCompiles(Path program) throws Exception {
        assertCompiles(program);
    }

    /** The examples in the documentation of the API, each with its number in its source. */
    static Stream<Arguments> examples() throws IOException {
        List<Arguments> found = new ArrayList<>();
        try (Stream<Path> sources = Files.walk(SOURCES.resolve("java-api/src/main/java"))) {
            for (Path source : sources.filter(Files::isRegularFile).sorted().toList()) {
                Matcher example = EXAMPLE.matcher(Files.readString(source));
                for (int number = 1; example.find(); number++) {
                    String lines = example.group(1).replaceAll("(?m)^ *\\* ?", "");
                    found.add(Arguments.of(source.getFileName() + " " + number, lines));
                }
            }
        }
        return found.stream();
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("examples")
    void anExampleOfTheDocumentationCompiles(String name, String lines) throws Exception {
        Path program = folder.resolve("Example.java");
        Files.writeString(program, """
                import dev.runhv.api.*;
                import module java.base;

                void example(%s) throws Exception {
                %s}

                void main() {}
                """.formatted(lines.contains("Runhv.open()") ? "" : "Runhv runhv", lines));
        assertCompiles(program);
    }

    private void assertCompiles(Path program) throws Exception {
        assumeTrue(ToolProvider.findFirst("javac").isPresent(), "This Java has no compiler");
        StringWriter complaints = new StringWriter();
        PrintWriter out = new PrintWriter(complaints, true);
        String path =
                String.join(File.pathSeparator, where(Runhv.class), where(LocalRunhv.class), where(JsonFactory.class));

        int status = ToolProvider.findFirst("javac")
                .orElseThrow()
                .run(out, out, "-d", folder.toString(), "-proc:none", "-cp", path, program.toString());

        assertThat(status).as(complaints.toString()).isZero();
    }

    private static String where(Class<?> type) throws URISyntaxException {
        return Path.of(type.getProtectionDomain().getCodeSource().getLocation().toURI())
                .toString();
    }
}
