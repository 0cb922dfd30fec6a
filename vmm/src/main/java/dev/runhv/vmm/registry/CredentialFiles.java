package dev.runhv.vmm.registry;

import com.fasterxml.jackson.core.JsonEncoding;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.BoundedBytes;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.HeldFiles;
import dev.runhv.vmm.content.Json;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The files in which docker and podman keep credentials: {@code REGISTRY_AUTH_FILE} alone where that is set, else docker's
 * {@code config.json}, then containers' {@code auth.json}. A file of docker may leave them to a helper. What is written is
 * the first of them, replaced as a whole, readable by its owner only.
 */
public final class CredentialFiles {
    static final int FILE_BYTES = 1 << 20;

    private static final String DOCKER = "docker.io";
    /** What docker calls its own registry in these files. */
    private static final String DOCKER_KEY = "https://index.docker.io/v1/";

    private final Map<String, String> environment;
    private final List<Path> places;

    /** @param environment names the places, and is that of the helpers */
    public CredentialFiles(Map<String, String> environment) {
        this.environment = Map.copyOf(environment);
        this.places = places(environment);
    }

    private static List<Path> places(Map<String, String> environment) {
        String alone = environment.getOrDefault("REGISTRY_AUTH_FILE", "");
        if (!alone.isEmpty()) {
            return List.of(Path.of(alone).toAbsolutePath());
        }
        List<Path> places = new ArrayList<>();
        String home = environment.getOrDefault("HOME", "");
        addPlace(places, environment.get("DOCKER_CONFIG"), home, ".docker", "config.json");
        addPlace(places, environment.get("XDG_RUNTIME_DIR"), "", "", "containers/auth.json");
        addPlace(places, environment.get("XDG_CONFIG_HOME"), home, ".config", "containers/auth.json");
        return List.copyOf(places);
    }

    private static void addPlace(List<Path> places, String folder, String home, String below, String file) {
        if (folder != null && !folder.isEmpty()) {
            places.add(Path.of(folder).toAbsolutePath().resolve(file));
        } else if (!home.isEmpty()) {
            places.add(Path.of(home).toAbsolutePath().resolve(below).resolve(file));
        }
    }

    /**
     * @param repository "" where none in particular is meant
     * @throws RunhvException where a file or a helper that should say it cannot be used
     */
    public Optional<Credentials> find(String registry, String repository) throws InterruptedException {
        for (Path file : places) {
            Optional<Credentials> found = find(file, registry, repository);
            if (found.isPresent()) {
                return found;
            }
        }
        return Optional.empty();
    }

    private Optional<Credentials> find(Path file, String registry, String repository) throws InterruptedException {
        try {
            Json json = read(file);
            Optional<CredentialHelper> helper = helper(json, registry);
            Optional<Credentials> kept = helper.isPresent() ? helper.get().get(serverKey(registry)) : Optional.empty();
            return kept.isPresent() ? kept : inFile(json.objectOrEmpty("auths"), registry, repository);
        } catch (CorruptInputException e) {
            throw unusable(file, e);
        }
    }

    private static RunhvException unusable(Path file, CorruptInputException e) {
        return Failures.corrupt("read the credentials in " + file, "The file cannot be used: " + e.getMessage());
    }

    private static Json read(Path file) throws CorruptInputException {
        return Json.parse(text(file));
    }

    private static byte[] text(Path file) throws CorruptInputException {
        if (!Files.exists(file)) {
            return "{}".getBytes(StandardCharsets.UTF_8);
        }
        try (InputStream in = Files.newInputStream(file)) {
            return BoundedBytes.read(in, FILE_BYTES, "It");
        } catch (CorruptInputException e) {
            throw e;
        } catch (IOException e) {
            throw Failures.of("read the credentials in " + file, e);
        }
    }

    private Optional<CredentialHelper> helper(Json json, String registry) throws CorruptInputException {
        Json helpers = json.objectOrEmpty("credHelpers");
        String name = helpers.string(registry, "");
        if (name.isEmpty() && registry.equals(DOCKER)) {
            name = helpers.string(DOCKER_KEY, "");
        }
        if (name.isEmpty()) {
            name = json.string("credsStore", "");
        }
        return name.isEmpty()
                ? Optional.empty()
                : Optional.of(new CredentialHelper(name, environment, CredentialHelper.USUAL_LIMIT));
    }

    /** The entry whose key names most of {@code registry/repository}: containers' files have keys for parts of a registry. */
    static Optional<Credentials> inFile(Json auths, String registry, String repository) throws CorruptInputException {
        String wanted = registry + "/" + repository;
        String best = null;
        for (String key : auths.memberNames()) {
            String place = place(key);
            boolean fits = wanted.equals(place) || wanted.startsWith(place + "/");
            if (fits && (best == null || place.length() > place(best).length())) {
                best = key;
            }
        }
        return best == null ? Optional.empty() : entry(auths.object(best));
    }

    private static String place(String key) {
        String place = key.replaceFirst("^https?://", "").replaceFirst("/(v1|v2)?/?$", "");
        int slash = place.indexOf('/');
        String host = slash < 0 ? place : place.substring(0, slash);
        boolean docker = host.equals("index.docker.io") || host.equals("registry-1.docker.io");
        return docker ? DOCKER + place.substring(host.length()) : place;
    }

    private static Optional<Credentials> entry(Json entry) throws CorruptInputException {
        String token = entry.string("identitytoken", "");
        if (!token.isEmpty()) {
            return Optional.of(new Credentials(Credentials.TOKEN, token));
        }
        String auth = entry.string("auth", "");
        if (auth.isEmpty()) {
            String user = entry.string("username", "");
            return user.isEmpty() ? Optional.empty() : Optional.of(new Credentials(user, entry.string("password", "")));
        }
        String decoded;
        try {
            decoded = new String(Base64.getDecoder().decode(auth.strip()), StandardCharsets.UTF_8);
        } catch (IllegalArgumentException e) {
            throw new CorruptInputException("An \"auth\" is not in base64");
        }
        int colon = decoded.indexOf(':');
        if (colon < 0) {
            throw new CorruptInputException("An \"auth\" is not USER:PASSWORD in base64");
        }
        return Optional.of(new Credentials(decoded.substring(0, colon), decoded.substring(colon + 1)));
    }

    private static String serverKey(String registry) {
        return registry.equals(DOCKER) ? DOCKER_KEY : registry;
    }

    /**
     * Keeps credentials where docker would: with the helper that the file names, else in the file.
     *
     * @return where they are, for a person
     * @throws RunhvException where they cannot be kept; the file is as it was then
     */
    public String store(String registry, Credentials credentials) throws InterruptedException {
        Path file = written();
        try {
            Optional<CredentialHelper> helper = helper(read(file), registry);
            if (helper.isPresent()) {
                helper.get().store(serverKey(registry), credentials);
                return helper.get().toString();
            }
            replaceAuth(file, serverKey(registry), credentials);
            return file.toString();
        } catch (CorruptInputException e) {
            throw unusable(file, e);
        }
    }

    /** Forgets what {@link #store} keeps; where there is nothing, too. */
    public void erase(String registry) throws InterruptedException {
        Path file = written();
        try {
            Json json = read(file);
            Optional<CredentialHelper> helper = helper(json, registry);
            if (helper.isPresent()) {
                helper.get().erase(serverKey(registry));
            }
            if (json.objectOrEmpty("auths").memberNames().contains(serverKey(registry))) {
                replaceAuth(file, serverKey(registry), null);
            }
        } catch (CorruptInputException e) {
            throw unusable(file, e);
        }
    }

    private Path written() {
        if (places.isEmpty()) {
            throw Failures.invalid(
                    "find the file of credentials", "None of HOME, DOCKER_CONFIG and REGISTRY_AUTH_FILE is set");
        }
        return places.getFirst();
    }

    /** @param credentials null: none any more */
    static void replaceAuth(Path named, String key, Credentials credentials) throws CorruptInputException {
        try {
            // A link, as those who keep their settings elsewhere have it, stays one.
            Path file = Files.exists(named) ? named.toRealPath() : named;
            byte[] text = withAuth(text(file), key, credentials);
            Files.createDirectories(file.getParent());
            // Such a file is the owner's alone.
            Path temporary = Files.createTempFile(file.getParent(), ".credentials-", ".tmp");
            try (Closeable _ = () -> HeldFiles.deleteIfExists(temporary)) {
                Files.write(temporary, text);
                HeldFiles.replace(temporary, file);
            }
        } catch (CorruptInputException e) {
            throw e;
        } catch (IOException e) {
            throw Failures.of("write the credentials in " + named, e);
        }
    }

    /** The text with one entry of {@code auths} set or taken out, and all else as it was. */
    static byte[] withAuth(byte[] text, String key, Credentials credentials) throws IOException {
        JsonFactory factory = new JsonFactory();
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (JsonParser parser = factory.createParser(text);
                JsonGenerator json =
                        factory.createGenerator(out, JsonEncoding.UTF8).setPrettyPrinter(new DefaultPrettyPrinter())) {
            parser.nextToken();
            json.writeStartObject();
            boolean written = false;
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                if (parser.currentName().equals("auths") && parser.nextToken() == JsonToken.START_OBJECT) {
                    json.writeObjectFieldStart("auths");
                    while (parser.nextToken() == JsonToken.FIELD_NAME) {
                        if (parser.currentName().equals(key)) {
                            parser.nextToken();
                            parser.skipChildren();
                        } else {
                            json.copyCurrentStructureExact(parser);
                        }
                    }
                    writeAuth(json, key, credentials);
                    json.writeEndObject();
                    written = true;
                } else if (parser.currentToken() == JsonToken.FIELD_NAME) {
                    json.copyCurrentStructureExact(parser);
                } else if (parser.currentToken() != JsonToken.VALUE_NULL) {
                    throw new CorruptInputException("auths: expected an object");
                }
            }
            if (!written) {
                json.writeObjectFieldStart("auths");
                writeAuth(json, key, credentials);
                json.writeEndObject();
            }
            json.writeEndObject();
        }
        return out.toByteArray();
    }

    private static void writeAuth(JsonGenerator json, String key, Credentials credentials) throws IOException {
        if (credentials != null) {
            json.writeObjectFieldStart(key);
            json.writeStringField("auth", credentials.encoded());
            json.writeEndObject();
        }
    }
}
