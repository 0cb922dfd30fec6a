package dev.runhv.vmm.registry;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.RunhvException;
import java.io.IOException;
import java.net.Proxy;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class HostFilesTest {
    @TempDir
    Path root;

    private List<Endpoint> endpoints(String registry) {
        return new HostFiles(Map.of("RUNHV_REGISTRIES", root.toString())).endpoints(registry);
    }

    private void write(String folder, String toml) throws IOException {
        Files.writeString(Files.createDirectories(root.resolve(folder)).resolve("hosts.toml"), toml);
    }

    @Test
    void asksTheRegistryItselfWhereNothingIsSaid() {
        assertThat(endpoints("docker.io")).containsExactly(Endpoint.usual("docker.io"));
        assertThat(Endpoint.usual("docker.io").base()).hasToString("https://registry-1.docker.io/v2/");
        assertThat(Endpoint.usual("127.0.0.1:5000").base()).hasToString("http://127.0.0.1:5000/v2/");
    }

    @Test
    void readsHostsInTheirOrder() throws IOException {
        write("docker.io", """
                server = "https://registry-1.docker.io"
                [host."https://b.example"]
                  capabilities = ["pull"]
                  skip_verify = true
                [host."a.example:81/path/v2"]
                [host."http://c.example/over"]
                  override_path = true
                  [host."http://c.example/over".header]
                    x-two = ["1", "2"]
                """);
        List<Endpoint> all = endpoints("docker.io");
        assertThat(all)
                .extracting(endpoint -> endpoint.base().toString())
                .containsExactly(
                        "https://b.example/v2/",
                        "https://a.example:81/path/v2/",
                        "http://c.example/over/",
                        "https://registry-1.docker.io/v2/");
        assertThat(all)
                .extracting(Endpoint::name)
                .containsExactly("b.example", "a.example:81", "c.example", "docker.io");
        assertThat(all.getFirst().capabilities()).containsExactly(Endpoint.Capability.PULL);
        assertThat(all.getFirst().tls()).isNotNull();
        assertThat(all.get(2).headers()).containsEntry("x-two", List.of("1", "2"));
        assertThat(all.get(1).uri("a/b")).hasToString("https://a.example:81/path/v2/a/b?ns=docker.io");
        assertThat(all.getLast().uri("a/b")).hasToString("https://registry-1.docker.io/v2/a/b");
    }

    @Test
    void takesTheFolderOfThePortBeforeThatOfAll() throws IOException {
        write("_default", "server = 'https://all.example'");
        write("one.example_81_", "server = 'https://one.example:82'");
        assertThat(endpoints("one.example:81").getFirst().base()).hasToString("https://one.example:82/v2/");
        assertThat(endpoints("one.example").getFirst().base()).hasToString("https://all.example/v2/");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            server = 1                          | server: expected a string
            server = "ftp://x"                  | expected a URL
            server = "https://me:pw@x"          | expected a URL
            servers = "x"                       | unknown key "servers"
            [host.x]\\ncapability = ["pull"]     | unknown key "capability" of host "x"
            capabilities = ["fetch"]            | expected pull, resolve and push
            skip_verify = "yes"                 | expected true or false
            host = 3                            | expected tables
            [header]\\nHost = "x"                | expected what a header may be
            client = [["a", "b", "c"]]          | expected files, or pairs
            ca = "nothing.pem"                  | No such file
            a = b                               | is no TOML
            """)
    void refusesByName(String toml, String words) throws IOException {
        write("bad.example", toml.replace("\\n", "\n"));
        assertThatThrownBy(() -> endpoints("bad.example"))
                .isInstanceOf(RunhvException.class)
                .hasMessageContaining(words);
    }

    @ParameterizedTest
    @CsvSource({
        "http://a.example/, false",
        "https://a.example/, true",
        "https://localhost:5000/, false",
        "https://127.1.2.3/, false",
        "https://in.example/, false",
        "https://deep.in.example/, false",
        "https://win.example/, true",
        "https://port.example:81/, false",
        "https://port.example/, true",
        "https://10.9.8.7/, false",
        "https://11.9.8.7/, true",
        "https://[fd00::1]/, true",
    })
    void asksTheProxyUnlessItIsNotFor(URI uri, boolean proxied) {
        Proxies proxies = new Proxies(Map.of(
                "HTTPS_PROXY", "http://proxy.example:3128",
                "no_proxy", "in.example, port.example:81,10.0.0.0/8"));
        assertThat(proxies.select(uri)).hasSize(1);
        assertThat(proxies.select(uri).getFirst().type()).isEqualTo(proxied ? Proxy.Type.HTTP : Proxy.Type.DIRECT);
    }

    @Test
    void refusesAProxyThatItCannotUseWithoutItsPassword() {
        for (String proxy : List.of("https://me:secret@proxy.example", "http://me:secret@", "http://me:sec ret@x")) {
            assertThatThrownBy(() -> new Proxies(Map.of("HTTP_PROXY", proxy)))
                    .isInstanceOf(RunhvException.class)
                    .hasMessageContaining("use HTTP_PROXY")
                    .hasMessageNotContaining("sec");
        }
    }

    @Test
    void saysToAProxyWhoAsks() {
        Proxies proxies = new Proxies(Map.of(
                "HTTPS_PROXY", "http://me:a%3Ab@proxy.example:3128", "HTTP_PROXY", "http://nobody@proxy.example"));
        assertThat(proxies.authorization(URI.create("https://a.example/"))).contains(basic("me:a:b"));
        assertThat(proxies.authorization(URI.create("http://a.example/"))).contains(basic("nobody:"));
        assertThat(proxies.authorization(URI.create("https://localhost/"))).isEmpty();
    }

    private static String basic(String credentials) {
        return "Basic " + Base64.getEncoder().encodeToString(credentials.getBytes(StandardCharsets.UTF_8));
    }
}
