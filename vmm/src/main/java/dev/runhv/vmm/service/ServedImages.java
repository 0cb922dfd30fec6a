package dev.runhv.vmm.service;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.Json;
import dev.runhv.vmm.image.Platform;
import dev.runhv.vmm.image.PullProgress;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.store.ImageService;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** By the image service of this user: with the requests of the command (docs/prepare.md), for the same store. */
public final class ServedImages implements ImageService {
    /** Finds the service, or starts it. */
    public interface Finder {
        ServicePlace find() throws InterruptedException;
    }

    private static final String OPERATION = "read what the image service says";
    private static final String LOADED = "Loaded image: ";

    private final Path store;
    private final Finder finder;

    public ServedImages(Path store, Finder finder) {
        this.store = store;
        this.finder = finder;
    }

    @Override
    public Pulled pull(Reference name, Platform platform, PullProgress progress, RootfsProgress making)
            throws InterruptedException {
        Map<String, List<String>> options = new LinkedHashMap<>();
        options.put("platform", List.of(platform.toString()));
        return told("pull", name, options, progress, making, Pulled::new);
    }

    @Override
    public Pushed push(Reference name, Optional<Platform> platform, PullProgress progress, RootfsProgress warned)
            throws InterruptedException {
        Map<String, List<String>> options = new LinkedHashMap<>();
        platform.ifPresent(wanted -> options.put("platform", List.of(wanted.toString())));
        return told("push", name, options, progress, warned, Pushed::new);
    }

    private interface Result<T> {
        T of(Digest digest, int layers, long bytes);
    }

    /** Of the verbs that say what a name means in its registry. */
    private <T> T told(
            String verb,
            Reference name,
            Map<String, List<String>> options,
            PullProgress progress,
            RootfsProgress warned,
            Result<T> result)
            throws InterruptedException {
        options.put("json", List.of(""));
        String text = output(verb, List.of(name.toString()), options, line -> tell(line, progress, warned));
        try {
            Json said = Json.parse(text.getBytes(StandardCharsets.UTF_8));
            return result.of(Digest.parse(said.string("digest")), (int) said.number("layers"), said.number("bytes"));
        } catch (CorruptInputException e) {
            throw notUnderstood(e);
        }
    }

    @Override
    public List<Reference> load(Path archive, Optional<Reference> given, PullProgress progress)
            throws InterruptedException {
        Map<String, List<String>> options = new LinkedHashMap<>();
        options.put("input", List.of(absolute(archive)));
        given.ifPresent(name -> options.put("name", List.of(name.toString())));
        return output("load", List.of(), options, line -> tell(line, progress, RootfsProgress.NONE))
                .lines()
                .map(line -> Reference.parse(line.substring(LOADED.length())))
                .toList();
    }

    @Override
    public void save(List<Reference> names, Optional<Platform> platform, Path archive) throws InterruptedException {
        Map<String, List<String>> options = new LinkedHashMap<>();
        options.put("output", List.of(absolute(archive)));
        platform.ifPresent(wanted -> options.put("platform", List.of(wanted.toString())));
        output("save", names.stream().map(Reference::toString).toList(), options, line -> {});
    }

    @Override
    public Digest importTar(Path tar, Reference name, List<String> changes, String comment)
            throws InterruptedException {
        String id = output(
                "import",
                List.of(absolute(tar), name.toString()),
                Map.of("change", changes, "message", List.of(comment)),
                line -> {});
        try {
            return Digest.parse(id.strip());
        } catch (CorruptInputException e) {
            throw notUnderstood(e);
        }
    }

    private static String absolute(Path file) {
        String text = file.toAbsolutePath().toString();
        // There they would be the service's own.
        if (Stream.of("/dev/fd/", "/dev/std", "/proc/self/").anyMatch(text::startsWith)) {
            throw Failures.unsupported(
                    "use the file " + text, "The image service cannot open what only this process has open");
        }
        return text;
    }

    private static RunhvException notUnderstood(CorruptInputException cause) {
        return RunhvException.of(ErrorCode.INTERNAL, OPERATION, cause.getMessage(), null, cause);
    }

    /** What the command would print. */
    private String output(
            String verb, List<String> arguments, Map<String, List<String>> options, Consumer<String> listener)
            throws InterruptedException {
        byte[] answer = ServiceCall.answer(finder.find(), request(verb, arguments, options), listener);
        try {
            Json json = Json.parse(answer);
            if (json.has("error")) {
                Json error = json.object("error");
                throw Failures.of(
                        ErrorCode.ofJsonName(error.string("code")), error.string("operation"), error.string("detail"));
            }
            return json.string("output");
        } catch (CorruptInputException e) {
            throw notUnderstood(e);
        }
    }

    private byte[] request(String verb, List<String> arguments, Map<String, List<String>> options) {
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        try (JsonGenerator json = new JsonFactory().createGenerator(text)) {
            json.writeStartObject();
            json.writeNumberField("version", 1);
            json.writeStringField("verb", verb);
            json.writeStringField("store", absolute(store));
            write(json, "arguments", arguments);
            json.writeObjectFieldStart("options");
            write(json, "records", List.of(""));
            for (Map.Entry<String, List<String>> option : options.entrySet()) {
                write(json, option.getKey(), option.getValue());
            }
            json.writeEndObject();
            json.writeEndObject();
        } catch (IOException e) {
            throw new IllegalStateException(e); // of a writer in memory
        }
        return text.toByteArray();
    }

    private static void write(JsonGenerator json, String name, List<String> values) throws IOException {
        json.writeArrayFieldStart(name);
        for (String value : values) {
            json.writeString(value);
        }
        json.writeEndArray();
    }

    /** A line of progress: a record, see docs/prepare.md. Others are for people. */
    private static void tell(String line, PullProgress progress, RootfsProgress making) {
        if (!line.startsWith("{")) {
            return;
        }
        try {
            Json told = Json.parse(line.getBytes(StandardCharsets.UTF_8));
            if (told.has("image")) {
                progress.resolved(
                        Digest.parse(told.string("image")), (int) told.number("layers"), told.number("total"));
            } else if (told.has("layer")) {
                progress.fetched(Digest.parse(told.string("layer")), told.number("bytes"), told.number("total"));
            } else if (told.has("ready")) {
                progress.ready(Digest.parse(told.string("ready")), told.number("total"));
            } else {
                making.warn(told.string("warning"));
            }
        } catch (CorruptInputException e) {
            throw notUnderstood(e);
        }
    }
}
