package dev.runhv.vmm.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.contentOf;

import dev.runhv.vmm.testing.ImageBuilder;
import dev.runhv.vmm.testing.TarBuilder;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MainTest {
    @TempDir
    Path folder;

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "it shows paths of Linux")
    void aRequestMakesTheBundleThatTheGoldenFileShows() throws IOException {
        image();

        String answer = answer(0, """
                {"version":1,"verb":"prepare","id":"web","image":"oci:%1$s/oci","store":"%1$s/store",
                 "bundle":"%1$s/run/web","environment":["A=b"],"cwd":"/srv","user":"www:staff","arguments":["id","-u"],
                 "hostname":"web.example","memory_bytes":67108864,"cpus":2,"scratch_bytes":1073741824,"kernel":"/boot/vmlinux","stdin":false,
                 "engine":"soft","sysctls":{"net.ipv4.ip_forward":"1"},"progress":false}
                """);

        assertThat(answer).isEqualTo("{\"version\":1,\"bundle\":\"" + folder + "/run/web\"}\n");
        assertThat(files(folder.resolve("run/web"))).containsExactly("config.json");
        String config = contentOf(folder.resolve("run/web/config.json").toFile())
                .replaceAll("\"[^\"]*/store/rootfs/[0-9a-f]{64}\\.erofs\"", "\"STORE/rootfs/KEY.erofs\"")
                .replaceAll("\"[^\"]*/store/layers/sha256-[0-9a-f]{64}\\.data\"", "\"STORE/layers/DIFF_ID.data\"")
                .replace("oci:" + folder, "oci:FOLDER");
        assertThat(config.strip()).isEqualTo(golden().strip());
    }

    @Test
    void theShortestRequestIsEnough() throws IOException {
        image();

        answer(0, minimal("\"arguments\":[\"true\"]"));

        assertThat(contentOf(folder.resolve("run/web/config.json").toFile()))
                .contains("\"dev.runhv.stdin\" : \"true\"")
                .doesNotContain("dev.runhv.memory", "dev.runhv.scratch", "dev.runhv.engine", "\"kernel\"");
    }

    @ParameterizedTest
    @CsvSource({"'', true", "0, true", "root, true", "www:staff, false", "1000:0, false"})
    void onlyRootHoldsWhatRootMayUse(String user, boolean held) throws IOException {
        image();

        answer(0, minimal("\"arguments\":[\"true\"],\"user\":\"" + user + "\""));

        String config = contentOf(folder.resolve("run/web/config.json").toFile());
        assertThat(config).contains("\"bounding\" : [ \"CAP_CHOWN\"").doesNotContain("\"inheritable\"", "\"ambient\"");
        for (String set : List.of("effective", "permitted")) {
            assertThat(config.contains("\"" + set + "\" : [ \"CAP_CHOWN\""))
                    .as(set)
                    .isEqualTo(held);
        }
    }

    @Test
    void twoOfOneNameAreAConflict() throws IOException {
        image();
        answer(0, minimal("\"arguments\":[\"true\"]"));

        assertThat(answer(1, minimal("\"arguments\":[\"true\"]")))
                .contains("\"code\":\"conflict\"")
                .contains("The name is taken");
    }

    @Test
    void afterAFailureThereIsNoBundle() throws IOException {
        image("{}");

        assertThat(answer(1, minimal("\"arguments\":[\"true\"],\"user\":\"nobody\"")))
                .contains("\"code\":\"not_found\"", "no user \\\"nobody\\\"");
        assertThat(folder.resolve("run/web")).doesNotExist();
        assertThat(answer(1, minimal("\"cpus\":1"))).contains("\"code\":\"invalid_argument\"", "names no command");
        assertThat(folder.resolve("run/web")).doesNotExist();
    }

    @Test
    void aPasswordFileOfAGibibyteIsRefused() throws IOException {
        byte[] layer = new TarBuilder()
                .pax("GNU.sparse.size", String.valueOf(1 << 30))
                .pax("GNU.sparse.numblocks", "1")
                .pax("GNU.sparse.map", "0,1")
                .file("etc/passwd", "x")
                .bytes();
        new ImageBuilder().layer(layer).writeTo(folder.resolve("oci"), "latest");

        assertThat(answer(1, minimal("\"arguments\":[\"true\"]")))
                .contains("\"code\":\"corrupt_input\"", "read /etc/passwd", "more than 1048576 bytes");
        assertThat(folder.resolve("run/web")).doesNotExist();
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "it shows paths of Linux")
    void anImageThatIsNotThereIsNamed() throws IOException {
        assertThat(answer(1, minimal("\"arguments\":[\"true\"]")))
                .contains("\"code\":\"not_found\"", "\"operation\":\"read image oci:" + folder + "/oci\"");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
                    nonsense                                | Not JSON
                    ``                                      | it is empty
                    []                                      | Not a JSON object
                    {"version":2}                           | version: expected 1, not 2
                    {"version":1}                           | verb: unknown value \\"\\"
                    {"version":1,"version":1}               | Duplicate field 'version'
                    {"version":1,"verb":"prepare"}          | id: required
                    {"version":1,"verb":"kernels-add"}      | store: required
                    {"version":1,"verb":"kernels-add","store":"/s","name":"x"} | kernel: required
                    {"version":1,"verb":"kernels-remove","store":"/s"} | name: required
                    {"version":1,"verb":1}                  | verb: expected a string
                    {"version":1,"arguments":"a"}           | arguments: expected an array
                    {"version":1,"arguments":["a",1]}       | arguments[1]: expected a string
                    {"version":1,"cpus":1.5}                | cpus: expected a whole number
                    {"version":1,"cpus":99999999999999999999} | cpus: expected a whole number
                    {"version":1,"stdin":"yes"}             | stdin: expected true or false
                    {"version":1,"sysctls":["a"]}           | sysctls: expected an object
                    {"version":1,"sysctls":{"a.b":1}}       | sysctls.a.b: expected a string
                    {"version":1,"verb":"rmi","options":{"force":""}} | options.force: expected an array
                    {"version":1,"memroy_bytes":1}          | memroy_bytes: unknown field
                    {"version":1                            | Not JSON
                    """)
    void aBadRequestIsAnErrorThatNamesTheField(String request, String why) throws IOException {
        assertThat(answer(1, request)).contains("\"code\":\"invalid_argument\"", why);
    }

    private String minimal(String members) {
        return "{\"version\":1,\"verb\":\"prepare\",\"id\":\"web\",\"image\":\"oci:%1$s/oci\",\"store\":\"%1$s/store\","
                + "\"bundle\":\"%1$s/run/web\"," + members + "}";
    }

    private String answer(int status, String request) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        InputStream in = new ByteArrayInputStream(
                request.replace("%1$s", folder.toString().replace("\\", "\\\\")).getBytes(StandardCharsets.UTF_8));
        try {
            assertThat(Main.answer(in, out, System.err))
                    .as(out.toString(StandardCharsets.UTF_8))
                    .isEqualTo(status);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
        return out.toString(StandardCharsets.UTF_8);
    }

    private void image() {
        image("{\"Env\":[\"PATH=/bin\"],\"Cmd\":[\"sh\"]}");
    }

    private void image(String config) {
        byte[] layer = new TarBuilder()
                .directory("etc/")
                .file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/var/www:\n")
                .file("etc/group", "staff:x:50:\n")
                .bytes();
        new ImageBuilder().config(config).layer(layer).writeTo(folder.resolve("oci"), "latest");
    }

    private static String golden() throws IOException {
        try (InputStream in = MainTest.class.getResourceAsStream("config.json")) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private static List<String> files(Path path) throws IOException {
        try (Stream<Path> files = Files.list(path)) {
            return files.map(file -> file.getFileName().toString()).toList();
        }
    }
}
