package dev.runhv.vmm.bundle;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Writes {@code config.json}; maps by their names in order, so that one bundle gives the same bytes each time. */
final class ConfigWriter {
    private static final String OCI_VERSION = "1.2.0";

    private final JsonGenerator json;

    private ConfigWriter(JsonGenerator json) {
        this.json = json;
    }

    static void write(Path file, Bundle bundle) throws IOException {
        try (OutputStream out = Files.newOutputStream(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
                JsonGenerator json =
                        new JsonFactory().createGenerator(out).setPrettyPrinter(new DefaultPrettyPrinter())) {
            new ConfigWriter(json).write(bundle);
        }
    }

    static byte[] json(Bundle.Program process) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (JsonGenerator json = new JsonFactory().createGenerator(out)) {
            new ConfigWriter(json).write(process);
        } catch (IOException e) {
            throw new UncheckedIOException(e); // nothing is written but memory
        }
        return out.toByteArray();
    }

    private void write(Bundle bundle) throws IOException {
        json.writeStartObject();
        json.writeStringField("ociVersion", OCI_VERSION);
        if (!bundle.hostname().isEmpty()) {
            json.writeStringField("hostname", bundle.hostname());
        }
        json.writeObjectFieldStart("root");
        json.writeStringField("path", "rootfs");
        json.writeBooleanField("readonly", false);
        json.writeEndObject();
        json.writeFieldName("process");
        write(bundle.process());
        writeMounts(bundle.mounts());
        if (!bundle.linux().isUnsaid()) {
            write(bundle.linux());
        }
        write(bundle.vm());
        writeTexts("annotations", bundle.annotations());
        json.writeEndObject();
    }

    private void write(Bundle.Program process) throws IOException {
        json.writeStartObject();
        json.writeBooleanField("terminal", process.terminal().isPresent());
        if (process.terminal().isPresent()) {
            json.writeObjectFieldStart("consoleSize");
            json.writeNumberField("height", process.terminal().get().rows());
            json.writeNumberField("width", process.terminal().get().columns());
            json.writeEndObject();
        }
        json.writeObjectFieldStart("user");
        json.writeNumberField("uid", process.user().uid());
        json.writeNumberField("gid", process.user().gid());
        json.writeArrayFieldStart("additionalGids");
        for (long gid : process.user().additionalGids()) {
            json.writeNumber(gid);
        }
        json.writeEndArray();
        json.writeEndObject();
        writeStrings("args", process.arguments());
        writeStrings("env", process.environment());
        json.writeStringField("cwd", process.cwd());
        if (!process.capabilities().isUnsaid()) {
            json.writeObjectFieldStart("capabilities");
            writeStrings("bounding", process.capabilities().bounding());
            writeStrings("effective", process.capabilities().effective());
            writeStrings("permitted", process.capabilities().permitted());
            json.writeEndObject();
        }
        if (!process.limits().isEmpty()) {
            json.writeArrayFieldStart("rlimits");
            for (Bundle.Limit limit : process.limits()) {
                json.writeStartObject();
                json.writeStringField("type", limit.type());
                json.writeNumberField("soft", limit.soft());
                json.writeNumberField("hard", limit.hard());
                json.writeEndObject();
            }
            json.writeEndArray();
        }
        json.writeEndObject();
    }

    private void writeMounts(List<Bundle.Mount> mounts) throws IOException {
        if (mounts.isEmpty()) {
            return;
        }
        json.writeArrayFieldStart("mounts");
        for (Bundle.Mount mount : mounts) {
            json.writeStartObject();
            json.writeStringField("destination", mount.destination());
            json.writeStringField("type", mount.type());
            json.writeStringField("source", mount.source());
            writeStrings("options", mount.options());
            json.writeEndObject();
        }
        json.writeEndArray();
    }

    private void write(Bundle.Linux linux) throws IOException {
        json.writeObjectFieldStart("linux");
        json.writeArrayFieldStart("namespaces");
        for (String namespace : linux.namespaces()) {
            json.writeStartObject();
            json.writeStringField("type", namespace);
            json.writeEndObject();
        }
        json.writeEndArray();
        writeTexts("sysctl", linux.sysctls());
        writeStrings("maskedPaths", linux.maskedPaths());
        writeStrings("readonlyPaths", linux.readonlyPaths());
        json.writeEndObject();
    }

    private void write(Bundle.Vm vm) throws IOException {
        json.writeObjectFieldStart("vm");
        if (vm.kernel().isPresent()) {
            json.writeObjectFieldStart("kernel");
            json.writeStringField("path", vm.kernel().get().toAbsolutePath().toString());
            json.writeEndObject();
        }
        json.writeObjectFieldStart("image");
        json.writeStringField("path", vm.image().toAbsolutePath().toString());
        json.writeStringField("format", "raw");
        json.writeEndObject();
        json.writeEndObject();
    }

    private void writeTexts(String name, Map<String, String> texts) throws IOException {
        if (texts.isEmpty()) {
            return;
        }
        json.writeObjectFieldStart(name);
        for (Map.Entry<String, String> text : new TreeMap<>(texts).entrySet()) {
            json.writeStringField(text.getKey(), text.getValue());
        }
        json.writeEndObject();
    }

    private void writeStrings(String name, List<String> strings) throws IOException {
        if (strings.isEmpty()) {
            return;
        }
        json.writeArrayFieldStart(name);
        for (String string : strings) {
            json.writeString(string);
        }
        json.writeEndArray();
    }
}
