package dev.runhv.vmm.registry;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.toml.TomlMapper;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Failures;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpRequest;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import javax.net.ssl.SSLContext;

/**
 * Where a registry is asked, and how, as containerd's folders of {@code hosts.toml} say it; also docker's, which hold only
 * certificates. The first folder that is there for a registry is taken, that of {@code _default} last.
 */
final class HostFiles {
    static final int FILE_BYTES = 1 << 18;

    private static final Set<String> OF_A_HOST =
            Set.of("capabilities", "ca", "client", "skip_verify", "header", "override_path", "dial_timeout");

    private final List<Path> roots;

    HostFiles(Map<String, String> environment) {
        String alone = environment.getOrDefault("RUNHV_REGISTRIES", "");
        if (!alone.isEmpty()) {
            roots = List.of(Path.of(alone).toAbsolutePath());
            return;
        }
        List<Path> all = new ArrayList<>();
        String settings = environment.getOrDefault("XDG_CONFIG_HOME", "");
        if (!settings.startsWith("/") && !environment.getOrDefault("HOME", "").isEmpty()) {
            settings = environment.get("HOME") + "/.config";
        }
        if (!settings.isEmpty()) {
            all.add(Path.of(settings).toAbsolutePath().resolve("runhv/certs.d"));
        }
        all.add(Path.of("/etc/runhv/certs.d"));
        all.add(Path.of("/etc/containerd/certs.d"));
        roots = List.copyOf(all);
    }

    /**
     * In the order in which they are asked; never empty.
     *
     * @throws RunhvException where the files cannot be used
     */
    List<Endpoint> endpoints(String registry) {
        Endpoint usual = Endpoint.usual(registry);
        Path folder = folder(registry);
        if (folder == null) {
            return List.of(usual);
        }
        Path file = folder.resolve("hosts.toml");
        String operation = "read how to ask " + registry + " from " + folder;
        try {
            if (!Files.exists(file)) {
                return List.of(
                        new Endpoint(usual.base(), registry, "", usual.capabilities(), certificates(folder), Map.of()));
            }
            try (InputStream in = Files.newInputStream(file)) {
                return parse(in.readNBytes(FILE_BYTES + 1), registry, folder);
            }
        } catch (CorruptInputException e) {
            throw Failures.corrupt(operation, e.getMessage());
        } catch (IOException e) {
            throw Failures.of(operation, e);
        }
    }

    private Path folder(String registry) {
        String withPort = registry.replaceFirst(":([0-9]+)$", "_$1_");
        for (Path root : roots) {
            for (String name : List.of(withPort, registry, "_default")) {
                // No name of Windows has a colon: containerd leaves it out there as well.
                Path folder = root.resolve(File.separatorChar == '/' ? name : name.replace(":", ""));
                if (Files.isDirectory(folder)) {
                    return folder;
                }
            }
        }
        return null;
    }

    /** As docker has them: {@code *.crt} of authorities, {@code NAME.cert} with {@code NAME.key} of the client. */
    private static SSLContext certificates(Path folder) throws IOException {
        List<Path> authorities = new ArrayList<>();
        List<Tls.Client> clients = new ArrayList<>();
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.sorted().toList()) {
                String name = file.getFileName().toString();
                if (name.endsWith(".crt")) {
                    authorities.add(file);
                } else if (name.endsWith(".cert")) {
                    clients.add(new Tls.Client(file, folder.resolve(name.replaceFirst("cert$", "key"))));
                }
            }
        }
        return Tls.context(authorities, clients, false);
    }

    /** @param folder that relative paths of certificates are below */
    static List<Endpoint> parse(byte[] text, String registry, Path folder) throws IOException {
        if (text.length > FILE_BYTES) {
            throw new CorruptInputException("hosts.toml has more than %d bytes".formatted(FILE_BYTES));
        }
        JsonNode top;
        try {
            top = new TomlMapper().readTree(text);
        } catch (JsonProcessingException e) {
            throw new CorruptInputException("hosts.toml is no TOML: " + e.getOriginalMessage(), e);
        } catch (IOException e) {
            throw new CorruptInputException("hosts.toml is no TOML: " + e.getMessage(), e);
        }
        for (Map.Entry<String, JsonNode> entry : top.properties()) {
            if (!OF_A_HOST.contains(entry.getKey()) && !Set.of("server", "host").contains(entry.getKey())) {
                throw new CorruptInputException("hosts.toml: unknown key \"" + entry.getKey() + "\"");
            }
        }
        List<Endpoint> endpoints = new ArrayList<>();
        JsonNode hosts = top.path("host");
        if (!hosts.isMissingNode() && !hosts.isObject()) {
            throw wrong("host", "tables [host.\"URL\"]");
        }
        for (Map.Entry<String, JsonNode> host : hosts.properties()) {
            if (!host.getValue().isObject()) {
                throw wrong("host.\"" + host.getKey() + "\"", "a table");
            }
            for (Map.Entry<String, JsonNode> entry : host.getValue().properties()) {
                if (!OF_A_HOST.contains(entry.getKey())) {
                    throw new CorruptInputException(
                            "hosts.toml: unknown key \"%s\" of host \"%s\"".formatted(entry.getKey(), host.getKey()));
                }
            }
            endpoints.add(endpoint(host.getKey(), host.getValue(), registry, folder));
        }
        String server = top.path("server").isMissingNode()
                ? Endpoint.usual(registry).base().toString()
                : text(top.path("server"), "server");
        endpoints.add(endpoint(server, top, registry, folder));
        return List.copyOf(endpoints);
    }

    private static Endpoint endpoint(String url, JsonNode table, String registry, Path folder) throws IOException {
        URI base = base(url, flag(table, "override_path"));
        String authority = base.getAuthority().toLowerCase(Locale.ROOT);
        boolean itself =
                authority.equals(Endpoint.usual(registry).base().getAuthority().toLowerCase(Locale.ROOT));
        return new Endpoint(
                base,
                itself ? registry : authority,
                itself ? "" : registry,
                capabilities(table.path("capabilities")),
                Tls.context(
                        paths(table.path("ca"), "ca", folder),
                        clients(table.path("client"), folder),
                        flag(table, "skip_verify")),
                headers(table.path("header")));
    }

    private static URI base(String url, boolean overridesPath) throws CorruptInputException {
        try {
            URI uri =
                    URI.create(url.contains("://") ? url : Endpoint.scheme(url.replaceFirst("/.*", "")) + "://" + url);
            boolean web = "https".equals(uri.getScheme()) || "http".equals(uri.getScheme());
            if (!web || uri.getHost() == null || uri.getUserInfo() != null || uri.getRawQuery() != null) {
                throw wrong("\"" + url + "\"", "a URL, https://HOST[:PORT][/PATH]");
            }
            String path = uri.getRawPath().replaceFirst("/+$", "");
            if (!overridesPath && !path.endsWith("/v2")) {
                path += "/v2";
            }
            return URI.create(uri.getScheme() + "://" + uri.getAuthority() + path + "/");
        } catch (IllegalArgumentException e) {
            throw wrong("\"" + url + "\"", "a URL, https://HOST[:PORT][/PATH]");
        }
    }

    private static Set<Endpoint.Capability> capabilities(JsonNode list) throws CorruptInputException {
        if (list.isMissingNode()) {
            return EnumSet.allOf(Endpoint.Capability.class);
        }
        Set<Endpoint.Capability> all = EnumSet.noneOf(Endpoint.Capability.class);
        for (String name : texts(list, "capabilities")) {
            switch (name) {
                case "pull" -> all.add(Endpoint.Capability.PULL);
                case "resolve" -> all.add(Endpoint.Capability.RESOLVE);
                case "push" -> all.add(Endpoint.Capability.PUSH);
                default -> throw wrong("capabilities", "pull, resolve and push");
            }
        }
        return all;
    }

    private static List<Path> paths(JsonNode node, String key, Path folder) throws CorruptInputException {
        List<Path> paths = new ArrayList<>();
        for (String text : node.isMissingNode() ? List.<String>of() : texts(node, key)) {
            paths.add(path(text, key, folder));
        }
        return paths;
    }

    private static Path path(String text, String key, Path folder) throws CorruptInputException {
        try {
            return folder.resolve(text);
        } catch (InvalidPathException e) {
            throw wrong(key, "paths of files");
        }
    }

    /** A file with both, a list of such, or a list of pairs of a certificate and its key. */
    private static List<Tls.Client> clients(JsonNode node, Path folder) throws CorruptInputException {
        List<Tls.Client> clients = new ArrayList<>();
        for (JsonNode client : node.isArray() ? node : node.isMissingNode() ? List.<JsonNode>of() : List.of(node)) {
            List<Path> pair = paths(client, "client", folder);
            if (pair.isEmpty() || pair.size() > 2) {
                throw wrong("client", "files, or pairs [certificate, key]");
            }
            clients.add(new Tls.Client(pair.getFirst(), pair.getLast()));
        }
        return clients;
    }

    private static Map<String, List<String>> headers(JsonNode table) throws CorruptInputException {
        Map<String, List<String>> headers = new LinkedHashMap<>();
        if (!table.isMissingNode() && !table.isObject()) {
            throw wrong("header", "a table");
        }
        for (Map.Entry<String, JsonNode> header : table.properties()) {
            List<String> values = texts(header.getValue(), "header " + header.getKey());
            HttpRequest.Builder tried = HttpRequest.newBuilder();
            try {
                values.forEach(value -> tried.header(header.getKey(), value));
            } catch (IllegalArgumentException e) {
                throw wrong("header " + header.getKey(), "what a header may be");
            }
            headers.put(header.getKey(), values);
        }
        return headers;
    }

    private static boolean flag(JsonNode table, String key) throws CorruptInputException {
        JsonNode value = table.path(key);
        if (!value.isMissingNode() && !value.isBoolean()) {
            throw wrong(key, "true or false");
        }
        return value.booleanValue();
    }

    private static List<String> texts(JsonNode node, String key) throws CorruptInputException {
        List<String> texts = new ArrayList<>();
        for (JsonNode element : node.isArray() ? node : List.of(node)) {
            texts.add(text(element, key));
        }
        return texts;
    }

    private static String text(JsonNode node, String key) throws CorruptInputException {
        if (!node.isTextual()) {
            throw wrong(key, "a string, or a list of them");
        }
        return node.textValue();
    }

    private static CorruptInputException wrong(String what, String expected) {
        return new CorruptInputException("hosts.toml: %s: expected %s".formatted(what, expected));
    }
}
