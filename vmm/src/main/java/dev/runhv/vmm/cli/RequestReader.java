package dev.runhv.vmm.cli;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import dev.runhv.api.ErrorCode;
import dev.runhv.api.RequestException;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.image.PullPolicy;
import dev.runhv.vmm.registry.Credentials;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.runtime.BundleRequest;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** Reads the request of docs/prepare.md. */
final class RequestReader {
    private static final String OPERATION = "read the prepare request";
    private static final int VERSION = 1;

    sealed interface Request {
        /** @param progress whether to tell how it goes on */
        record Prepare(BundleRequest bundle, PullPolicy pull, boolean progress) implements Request {}

        record ListKernels(Path store, boolean json) implements Request {}

        /** @param modules null: none, or the image brings them */
        record AddKernel(Path store, String name, Path image, Path modules) implements Request {}

        record RemoveKernel(Path store, String name) implements Request {}

        /**
         * A verb of images (docs/prepare.md).
         *
         * @param options by their names, each with all its values; a flag's is empty
         * @param progress whether to draw how it goes on
         */
        record Image(
                ImageVerb verb, Path store, List<String> arguments, Map<String, List<String>> options, boolean progress)
                implements Request {

            boolean has(String option) {
                return options.containsKey(option);
            }

            /** The last one given. */
            Optional<String> value(String option) {
                return Optional.ofNullable(options.get(option)).map(List::getLast);
            }
        }

        record Login(String registry, Credentials credentials) implements Request {}

        record Logout(String registry) implements Request {}
    }

    private long version;
    private String verb = "";
    private String id = "";
    private String image = "";
    private String store = "";
    private String bundle = "";
    private List<String> environment = List.of();
    private String cwd = "";
    private String user = "";
    private List<String> entrypoint;
    private List<String> arguments = List.of();
    private String hostname = "";
    private long memoryBytes;
    private long cpus;
    private long scratchBytes;
    private String kernel = "";
    private String modules = "";
    private String name = "";
    private String pull = "missing";
    private String registry = "";
    private String secret = "";
    private boolean json;
    private boolean stdin = true;
    private String engine = "";
    private Map<String, String> sysctls = Map.of();
    private Map<String, List<String>> options = Map.of();
    private boolean progress;

    private RequestReader() {}

    /** @throws RequestException that names the field that is wrong */
    static Request read(InputStream in) throws IOException {
        RequestReader reader = new RequestReader();
        try (JsonParser parser = JsonFactory.builder()
                .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                .build()
                .createParser(in)) {
            reader.readObject(parser);
        } catch (JsonProcessingException e) {
            throw invalid("Not JSON: " + e.getOriginalMessage());
        }
        return reader.checked();
    }

    private void readObject(JsonParser parser) throws IOException {
        if (parser.nextToken() != JsonToken.START_OBJECT) {
            throw invalid("Not a JSON object");
        }
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            parser.nextToken();
            readField(name, parser);
        }
        if (parser.nextToken() != null) {
            throw invalid("Something follows the JSON object");
        }
    }

    private void readField(String name, JsonParser parser) throws IOException {
        switch (name) {
            case "version" -> version = number(name, parser);
            case "verb" -> verb = string(name, parser);
            case "id" -> id = string(name, parser);
            case "image" -> image = string(name, parser);
            case "store" -> store = string(name, parser);
            case "bundle" -> bundle = string(name, parser);
            case "environment" -> environment = strings(name, parser);
            case "cwd" -> cwd = string(name, parser);
            case "user" -> user = string(name, parser);
            case "entrypoint" -> entrypoint = strings(name, parser);
            case "arguments" -> arguments = strings(name, parser);
            case "hostname" -> hostname = string(name, parser);
            case "memory_bytes" -> memoryBytes = number(name, parser);
            case "cpus" -> cpus = number(name, parser);
            case "scratch_bytes" -> scratchBytes = number(name, parser);
            case "kernel" -> kernel = string(name, parser);
            case "modules" -> modules = string(name, parser);
            case "name" -> this.name = string(name, parser);
            case "pull" -> pull = string(name, parser);
            case "registry" -> registry = string(name, parser);
            case "secret" -> secret = string(name, parser);
            case "json" -> json = bool(name, parser);
            case "stdin" -> stdin = bool(name, parser);
            case "engine" -> engine = string(name, parser);
            case "sysctls" -> sysctls = members(name, parser, RequestReader::string);
            case "options" -> options = members(name, parser, RequestReader::strings);
            case "progress" -> progress = bool(name, parser);
            // Both sides come in one distribution: a field that one of them does not know is a mistake.
            default -> throw invalid(name + ": unknown field");
        }
    }

    private Request checked() {
        if (version != VERSION) {
            throw invalid("version: expected " + VERSION + ", not " + version);
        }
        return switch (verb) {
            case "prepare" -> new Request.Prepare(bundleRequest(), choice("pull", PullPolicy.class, pull), progress);
            case "kernels-list" -> new Request.ListKernels(storePath(), json);
            case "kernels-add" ->
                new Request.AddKernel(
                        storePath(), required("name", name), path("kernel", required("kernel", kernel)), modulesPath());
            case "kernels-remove" -> new Request.RemoveKernel(storePath(), required("name", name));
            case "login" ->
                new Request.Login(
                        Reference.registry(required("registry", registry)),
                        new Credentials(required("user", user), required("secret", secret)));
            case "logout" -> new Request.Logout(Reference.registry(required("registry", registry)));
            default ->
                new Request.Image(choice("verb", ImageVerb.class, verb), storePath(), arguments, options, progress);
        };
    }

    private BundleRequest bundleRequest() {
        return new BundleRequest(
                required("id", id),
                required("image", image),
                storePath(),
                path("bundle", required("bundle", bundle)),
                environment,
                cwd,
                user,
                entrypoint,
                arguments,
                hostname,
                memoryBytes,
                cpus,
                scratchBytes,
                kernel.isEmpty() ? null : path("kernel", kernel),
                modulesPath(),
                stdin,
                engine,
                sysctls,
                Map.of(),
                null);
    }

    private Path storePath() {
        return path("store", required("store", store));
    }

    private Path modulesPath() {
        return modules.isEmpty() ? null : path("modules", modules);
    }

    private static <E extends Enum<E>> E choice(String name, Class<E> type, String value) {
        for (E choice : type.getEnumConstants()) {
            if (choice.name().toLowerCase(Locale.ROOT).equals(value)) {
                return choice;
            }
        }
        throw invalid(name + ": unknown value \"" + value + "\"");
    }

    private static String required(String name, String value) {
        if (value.isEmpty()) {
            throw invalid(name + ": required");
        }
        return value;
    }

    private static Path path(String name, String value) {
        try {
            return Path.of(value);
        } catch (InvalidPathException e) {
            throw invalid(name + ": not a path on this system: " + e.getMessage());
        }
    }

    private static String string(String name, JsonParser parser) throws IOException {
        if (parser.currentToken() != JsonToken.VALUE_STRING) {
            throw invalid(name + ": expected a string");
        }
        return parser.getText();
    }

    private static long number(String name, JsonParser parser) throws IOException {
        if (parser.currentToken() != JsonToken.VALUE_NUMBER_INT
                || parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER) {
            throw invalid(name + ": expected a whole number");
        }
        return parser.getLongValue();
    }

    private static boolean bool(String name, JsonParser parser) throws IOException {
        return switch (parser.currentToken()) {
            case VALUE_TRUE -> true;
            case VALUE_FALSE -> false;
            default -> throw invalid(name + ": expected true or false");
        };
    }

    private static List<String> strings(String name, JsonParser parser) throws IOException {
        if (parser.currentToken() != JsonToken.START_ARRAY) {
            throw invalid(name + ": expected an array");
        }
        List<String> strings = new ArrayList<>();
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            strings.add(string(name + "[" + strings.size() + "]", parser));
        }
        return strings;
    }

    private interface Value<T> {
        T read(String name, JsonParser parser) throws IOException;
    }

    private static <T> Map<String, T> members(String name, JsonParser parser, Value<T> value) throws IOException {
        if (parser.currentToken() != JsonToken.START_OBJECT) {
            throw invalid(name + ": expected an object");
        }
        Map<String, T> members = new LinkedHashMap<>();
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String key = parser.currentName();
            parser.nextToken();
            members.put(key, value.read(name + "." + key, parser));
        }
        return members;
    }

    private static RunhvException invalid(String detail) {
        return RunhvException.of(ErrorCode.INVALID_ARGUMENT, OPERATION, detail, null, null);
    }
}
