package dev.runhv.vmm.cli;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RequestException;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Json;
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
        try {
            Json.parse(in.readAllBytes()).members().forEach(reader::readField);
        } catch (CorruptInputException e) {
            throw invalid(e.getMessage());
        }
        return reader.checked();
    }

    private void readField(String name, Object value) {
        switch (name) {
            case "version" -> version = number(name, value);
            case "verb" -> verb = string(name, value);
            case "id" -> id = string(name, value);
            case "image" -> image = string(name, value);
            case "store" -> store = string(name, value);
            case "bundle" -> bundle = string(name, value);
            case "environment" -> environment = strings(name, value);
            case "cwd" -> cwd = string(name, value);
            case "user" -> user = string(name, value);
            case "entrypoint" -> entrypoint = strings(name, value);
            case "arguments" -> arguments = strings(name, value);
            case "hostname" -> hostname = string(name, value);
            case "memory_bytes" -> memoryBytes = number(name, value);
            case "cpus" -> cpus = number(name, value);
            case "scratch_bytes" -> scratchBytes = number(name, value);
            case "kernel" -> kernel = string(name, value);
            case "modules" -> modules = string(name, value);
            case "name" -> this.name = string(name, value);
            case "pull" -> pull = string(name, value);
            case "registry" -> registry = string(name, value);
            case "secret" -> secret = string(name, value);
            case "json" -> json = bool(name, value);
            case "stdin" -> stdin = bool(name, value);
            case "engine" -> engine = string(name, value);
            case "sysctls" -> sysctls = members(name, value, RequestReader::string);
            case "options" -> options = members(name, value, RequestReader::strings);
            case "progress" -> progress = bool(name, value);
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

    private static String string(String name, Object value) {
        if (value instanceof String text) {
            return text;
        }
        throw invalid(name + ": expected a string");
    }

    private static long number(String name, Object value) {
        if (value instanceof Long number) {
            return number;
        }
        throw invalid(name + ": expected a whole number");
    }

    private static boolean bool(String name, Object value) {
        if (value instanceof Boolean truth) {
            return truth;
        }
        throw invalid(name + ": expected true or false");
    }

    private static List<String> strings(String name, Object value) {
        if (!(value instanceof List<?> list)) {
            throw invalid(name + ": expected an array");
        }
        List<String> strings = new ArrayList<>();
        for (Object element : list) {
            strings.add(string(name + "[" + strings.size() + "]", element));
        }
        return strings;
    }

    private interface Value<T> {
        T read(String name, Object value);
    }

    private static <T> Map<String, T> members(String name, Object value, Value<T> reading) {
        if (!(value instanceof Map<?, ?> map)) {
            throw invalid(name + ": expected an object");
        }
        Map<String, T> members = new LinkedHashMap<>();
        map.forEach((key, member) -> members.put((String) key, reading.read(name + "." + key, member)));
        return members;
    }

    private static RunhvException invalid(String detail) {
        return RunhvException.of(ErrorCode.INVALID_ARGUMENT, OPERATION, detail, null, null);
    }
}
