package dev.runhv.vmm.process;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import dev.runhv.api.StartTimings;
import dev.runhv.api.StartTimings.Stage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/** Reads the line of docs/timings.md. Fields that it does not know are passed over: they may be added. */
final class TimingsReader {
    private String engine = "";
    private String kernel = "";
    private List<Stage> stages = List.of();
    private Map<String, Long> exitsToFirstInstruction = Map.of();
    private Map<String, Long> exitsTotal = Map.of();
    private OptionalLong instructionsToFirstInstruction = OptionalLong.empty();
    private OptionalLong instructionsTotal = OptionalLong.empty();
    private long privateBytes;
    private long guestMemoryResidentBytes;
    private End end;

    /**
     * The {@code end} object.
     *
     * @param kind {@code exited}, {@code signaled}, {@code not_started} or {@code failed}
     * @param code of an error, as in JSON; with operation and reason empty where there is none
     */
    record End(String kind, int value, String code, String operation, String reason) {}

    /** @param end empty in a line of before there was one */
    record Line(StartTimings timings, Optional<End> end) {}

    private TimingsReader() {}

    /** Empty where there is no such file, or no whole line in it: the process was killed. */
    static Optional<Line> read(Path file) {
        if (!Files.exists(file)) {
            return Optional.empty();
        }
        TimingsReader reader = new TimingsReader();
        try (JsonParser parser = new JsonFactory().createParser(file.toFile())) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                return Optional.empty();
            }
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String name = parser.currentName();
                parser.nextToken();
                reader.readField(name, parser);
            }
        } catch (IOException e) {
            return Optional.empty();
        }
        return Optional.of(new Line(reader.timings(), Optional.ofNullable(reader.end)));
    }

    private StartTimings timings() {
        return new StartTimings(
                engine,
                kernel,
                stages,
                exitsToFirstInstruction,
                exitsTotal,
                instructionsToFirstInstruction,
                instructionsTotal,
                privateBytes,
                guestMemoryResidentBytes);
    }

    private void readField(String name, JsonParser parser) throws IOException {
        switch (name) {
            case "engine" -> engine = parser.getText();
            case "kernel" -> kernel = parser.getText();
            case "stages" -> stages = stages(parser);
            case "exits_to_first_instruction" -> exitsToFirstInstruction = counts(parser);
            case "exits_total" -> exitsTotal = counts(parser);
            case "instructions_to_first_instruction" -> instructionsToFirstInstruction = count(parser);
            case "instructions_total" -> instructionsTotal = count(parser);
            case "private_bytes" -> privateBytes = parser.getLongValue();
            case "guest_memory_resident_bytes" -> guestMemoryResidentBytes = parser.getLongValue();
            case "end" -> end = end(parser);
            default -> parser.skipChildren();
        }
    }

    private static End end(JsonParser parser) throws IOException {
        String kind = "";
        int value = 0;
        String code = "";
        String operation = "";
        String reason = "";
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String field = parser.currentName();
            parser.nextToken();
            switch (field) {
                case "kind" -> kind = parser.getText();
                case "value" -> value = parser.getIntValue();
                case "code" -> code = parser.getText();
                case "operation" -> operation = parser.getText();
                case "reason" -> reason = parser.getText();
                default -> parser.skipChildren();
            }
        }
        return new End(kind, value, code, operation, reason);
    }

    private static List<Stage> stages(JsonParser parser) throws IOException {
        List<Stage> stages = new ArrayList<>();
        while (parser.nextToken() == JsonToken.START_OBJECT) {
            String name = "";
            long start = 0;
            long duration = 0;
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String field = parser.currentName();
                parser.nextToken();
                switch (field) {
                    case "name" -> name = parser.getText();
                    case "start_us" -> start = parser.getLongValue();
                    case "duration_us" -> duration = parser.getLongValue();
                    default -> parser.skipChildren();
                }
            }
            stages.add(
                    new Stage(name, Duration.of(start, ChronoUnit.MICROS), Duration.of(duration, ChronoUnit.MICROS)));
        }
        return stages;
    }

    private static Map<String, Long> counts(JsonParser parser) throws IOException {
        Map<String, Long> counts = new LinkedHashMap<>();
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String reason = parser.currentName();
            parser.nextToken();
            counts.put(reason, parser.getLongValue());
        }
        return counts;
    }

    private static OptionalLong count(JsonParser parser) throws IOException {
        return parser.currentToken() == JsonToken.VALUE_NULL
                ? OptionalLong.empty()
                : OptionalLong.of(parser.getLongValue());
    }
}
