package dev.runhv.vmm.kernel;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import dev.runhv.vmm.content.CorruptInputException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;

/** {@code kernel.json}: what the catalogue keeps of a kernel. */
public final class KernelRecord {
    private static final String WHAT = "kernel.json is damaged";

    private String name = "";
    private String release = "";
    private String digest = "";
    private long sizeBytes = -1;
    private long modulesBytes;
    private String engine = "";
    private long memoryBytes;
    private OptionalLong instructions = OptionalLong.empty();
    private long exits;
    private long micros;

    private KernelRecord() {}

    public static void write(JsonGenerator json, Kernel kernel) throws IOException {
        json.writeStartObject();
        json.writeNumberField("version", 1);
        json.writeStringField("name", kernel.name());
        json.writeStringField("release", kernel.release());
        json.writeStringField("digest", kernel.digest());
        json.writeNumberField("size_bytes", kernel.sizeBytes());
        json.writeNumberField("modules_bytes", kernel.modulesBytes());
        json.writeObjectFieldStart("boot");
        json.writeStringField("engine", kernel.boot().engine());
        json.writeNumberField("memory_bytes", kernel.boot().memoryBytes());
        json.writeFieldName("instructions");
        if (kernel.boot().instructions().isPresent()) {
            json.writeNumber(kernel.boot().instructions().getAsLong());
        } else {
            json.writeNull();
        }
        json.writeNumberField("exits", kernel.boot().exits());
        json.writeNumberField("micros", kernel.boot().micros());
        json.writeEndObject();
        json.writeEndObject();
    }

    static Kernel read(Path file) throws IOException {
        if (Files.size(file) > KernelLimits.RECORD_BYTES) {
            throw new CorruptInputException(WHAT);
        }
        KernelRecord record = new KernelRecord();
        try (InputStream in = Files.newInputStream(file);
                JsonParser parser = new JsonFactory().createParser(in)) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw new CorruptInputException(WHAT);
            }
            record.readObject(parser);
        } catch (JsonProcessingException e) {
            throw new CorruptInputException(WHAT, e);
        }
        if (record.name.isEmpty() || record.sizeBytes < 0) {
            throw new CorruptInputException(WHAT);
        }
        BootCost boot =
                new BootCost(record.engine, record.memoryBytes, record.instructions, record.exits, record.micros);
        return new Kernel(record.name, record.release, record.digest, record.sizeBytes, record.modulesBytes, boot);
    }

    private void readObject(JsonParser parser) throws IOException {
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String field = parser.currentName();
            parser.nextToken();
            switch (field) {
                case "name" -> name = parser.getValueAsString("");
                case "release" -> release = parser.getValueAsString("");
                case "digest" -> digest = parser.getValueAsString("");
                case "size_bytes" -> sizeBytes = parser.getValueAsLong();
                case "modules_bytes" -> modulesBytes = parser.getValueAsLong();
                case "boot" -> readObject(parser);
                case "engine" -> engine = parser.getValueAsString("");
                case "memory_bytes" -> memoryBytes = parser.getValueAsLong();
                case "instructions" ->
                    instructions = parser.currentToken() == JsonToken.VALUE_NUMBER_INT
                            ? OptionalLong.of(parser.getValueAsLong())
                            : OptionalLong.empty();
                case "exits" -> exits = parser.getValueAsLong();
                case "micros" -> micros = parser.getValueAsLong();
                default -> parser.skipChildren();
            }
        }
    }
}
