package dev.runhv.vmm.cli;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import dev.runhv.vmm.kernel.Kernel;
import dev.runhv.vmm.kernel.KernelRecord;
import java.io.IOException;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** What {@code runhv kernels} prints. */
final class KernelTexts {
    private static final int SHOWN_DIGEST = "sha256:".length() + 12;

    private KernelTexts() {}

    static String table(List<Kernel> kernels) {
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("NAME", "VERSION", "DIGEST", "SIZE", "INSTRUCTIONS", "BOOT"));
        for (Kernel kernel : kernels) {
            rows.add(List.of(
                    kernel.name(),
                    kernel.release(),
                    kernel.digest().substring(0, SHOWN_DIGEST),
                    mebibytes(kernel.sizeBytes() + kernel.modulesBytes()),
                    kernel.boot().instructions().isPresent()
                            ? String.format(
                                    Locale.ROOT,
                                    "%.1f M",
                                    kernel.boot().instructions().getAsLong() / 1e6)
                            : "-",
                    "%d ms on %s"
                            .formatted(
                                    kernel.boot().micros() / 1000, kernel.boot().engine())));
        }
        return Table.text(rows);
    }

    static String json(List<Kernel> kernels) throws IOException {
        StringWriter text = new StringWriter();
        try (JsonGenerator json =
                new JsonFactory().createGenerator(text).setPrettyPrinter(new DefaultPrettyPrinter())) {
            json.writeStartArray();
            for (Kernel kernel : kernels) {
                KernelRecord.write(json, kernel);
            }
            json.writeEndArray();
        }
        return text + "\n";
    }

    private static String mebibytes(long bytes) {
        return String.format(Locale.ROOT, "%.1f MiB", bytes / (double) (1 << 20));
    }
}
