package dev.runhv.vmm.image;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.Json;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/** The configuration of an image of one layer, by instructions of a Dockerfile as {@code docker import --change} takes them. */
final class ImportedConfig {
    private final String operation;
    private List<String> entrypoint = List.of();
    private List<String> cmd = List.of();
    private final Map<String, String> env = new LinkedHashMap<>();
    private final Map<String, String> labels = new LinkedHashMap<>();
    private final Set<String> ports = new LinkedHashSet<>();
    private final Set<String> volumes = new LinkedHashSet<>();
    private String user = "";
    private String workingDir = "";
    private String stopSignal = "";

    /** @throws RunhvException with {@code INVALID_ARGUMENT} for one that is not understood */
    ImportedConfig(String operation, List<String> changes) {
        this.operation = operation;
        changes.forEach(this::change);
    }

    private void change(String change) {
        String[] parts = change.strip().split("\\s+", 2);
        String rest = parts.length == 2 ? parts[1] : "";
        if (rest.isEmpty()) {
            throw wrong(change, "expected INSTRUCTION ARGUMENTS");
        }
        switch (parts[0].toUpperCase(Locale.ROOT)) {
            case "CMD" -> cmd = command(change, rest);
            case "ENTRYPOINT" -> entrypoint = command(change, rest);
            case "ENV" -> pairs(change, rest, env);
            case "LABEL" -> pairs(change, rest, labels);
            case "EXPOSE" -> words(change, rest).forEach(word -> ports.add(port(change, word)));
            case "VOLUME" -> volumes.addAll(rest.startsWith("[") ? array(change, rest) : words(change, rest));
            case "USER" -> user = rest;
            case "WORKDIR" -> {
                if (!rest.startsWith("/")) {
                    throw wrong(change, "the path must be absolute");
                }
                workingDir = rest;
            }
            case "STOPSIGNAL" -> stopSignal = rest;
            default ->
                throw wrong(
                        change, "expected CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME or WORKDIR");
        }
    }

    private RunhvException wrong(String change, String detail) {
        return Failures.invalid(operation, "--change \"" + change + "\": " + detail);
    }

    private List<String> command(String change, String text) {
        return text.startsWith("[") ? array(change, text) : List.of("/bin/sh", "-c", text);
    }

    private List<String> array(String change, String text) {
        try {
            return Json.parse(("{\"a\":" + text + "}").getBytes(StandardCharsets.UTF_8))
                    .strings("a");
        } catch (CorruptInputException e) {
            throw wrong(change, "no JSON array of strings");
        }
    }

    /** {@code NAME=VALUE …}, or the old form {@code NAME VALUE}. */
    private void pairs(String change, String text, Map<String, String> into) {
        String[] old = text.split("\\s+", 2);
        if (!old[0].contains("=")) {
            if (old.length < 2) {
                throw wrong(change, "expected NAME=VALUE");
            }
            into.put(old[0], old[1]);
            return;
        }
        for (String word : words(change, text)) {
            int equals = word.indexOf('=');
            if (equals < 1) {
                throw wrong(change, "expected NAME=VALUE, not " + word);
            }
            into.put(word.substring(0, equals), word.substring(equals + 1));
        }
    }

    /** As a shell parts them: quotes and backslashes keep what is between or behind them together. */
    private List<String> words(String change, String text) {
        List<String> words = new ArrayList<>();
        StringBuilder word = null;
        char quote = 0;
        for (int at = 0; at < text.length(); at++) {
            char c = text.charAt(at);
            if (quote == 0 && Character.isWhitespace(c)) {
                if (word != null) {
                    words.add(word.toString());
                }
                word = null;
                continue;
            }
            word = word == null ? new StringBuilder() : word;
            if (c == '\\' && quote != '\'' && at + 1 < text.length()) {
                word.append(text.charAt(++at));
            } else if (c == quote) {
                quote = 0;
            } else if (quote == 0 && (c == '\'' || c == '"')) {
                quote = c;
            } else {
                word.append(c);
            }
        }
        if (quote != 0) {
            throw wrong(change, "a quote does not end");
        }
        if (word != null) {
            words.add(word.toString());
        }
        return words;
    }

    private String port(String change, String word) {
        if (!word.matches("[0-9]{1,5}(/(tcp|udp|sctp))?") || Integer.parseInt(word.replaceFirst("/.*", "")) > 65_535) {
            throw wrong(change, "expected PORT[/tcp|udp|sctp], not " + word);
        }
        return word.contains("/") ? word : word + "/tcp";
    }

    /** @param comment how it came about */
    byte[] text(Digest diffId, Instant created, String comment) throws IOException {
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        try (JsonGenerator json = new JsonFactory().createGenerator(text)) {
            json.writeStartObject();
            json.writeStringField("created", created.toString());
            json.writeStringField("architecture", "amd64");
            json.writeStringField("os", "linux");
            json.writeObjectFieldStart("config");
            strings(json, "Entrypoint", entrypoint);
            strings(json, "Cmd", cmd);
            strings(
                    json,
                    "Env",
                    env.entrySet().stream()
                            .map(each -> each.getKey() + "=" + each.getValue())
                            .toList());
            string(json, "User", user);
            string(json, "WorkingDir", workingDir);
            string(json, "StopSignal", stopSignal);
            members(json, "ExposedPorts", ports);
            members(json, "Volumes", volumes);
            if (!labels.isEmpty()) {
                json.writeObjectFieldStart("Labels");
                for (Map.Entry<String, String> label : labels.entrySet()) {
                    json.writeStringField(label.getKey(), label.getValue());
                }
                json.writeEndObject();
            }
            json.writeEndObject();
            json.writeObjectFieldStart("rootfs");
            json.writeStringField("type", "layers");
            strings(json, "diff_ids", List.of(diffId.toString()));
            json.writeEndObject();
            json.writeArrayFieldStart("history");
            json.writeStartObject();
            json.writeStringField("created", created.toString());
            json.writeStringField("comment", comment);
            json.writeEndObject();
            json.writeEndArray();
            json.writeEndObject();
        }
        return text.toByteArray();
    }

    private static void string(JsonGenerator json, String name, String value) throws IOException {
        if (!value.isEmpty()) {
            json.writeStringField(name, value);
        }
    }

    private static void strings(JsonGenerator json, String name, List<String> values) throws IOException {
        if (!values.isEmpty()) {
            json.writeArrayFieldStart(name);
            for (String value : values) {
                json.writeString(value);
            }
            json.writeEndArray();
        }
    }

    /** A set, as this format has them: an object with empty objects. */
    private static void members(JsonGenerator json, String name, Set<String> values) throws IOException {
        if (!values.isEmpty()) {
            json.writeObjectFieldStart(name);
            for (String value : values) {
                json.writeObjectFieldStart(value);
                json.writeEndObject();
            }
            json.writeEndObject();
        }
    }
}
