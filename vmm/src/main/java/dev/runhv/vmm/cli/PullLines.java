package dev.runhv.vmm.cli;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.runhv.vmm.cli.RequestReader.Request;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.image.PullProgress;
import dev.runhv.vmm.registry.Reference;
import java.io.IOException;
import java.io.PrintStream;
import java.io.StringWriter;
import java.util.LinkedHashMap;
import java.util.Map;

/** Tells a person how layers come and are read: a bar for each on a terminal, else a line for each that is there. */
final class PullLines implements PullProgress {
    private static final long INTERVAL_NANOS = 100_000_000;
    private static final int SHOWN_DIGEST = 12;
    private static final int BAR = 30;
    private static final double MEBIBYTE = 1 << 20;
    /** ECMA-48: the cursor to the line above, and all of the line away. */
    private static final String UP = "\033[A";

    private static final String CLEAR = "\033[2K\r";

    private final PrintStream out;
    private final boolean terminal;
    private final Map<Digest, State> layers = new LinkedHashMap<>();
    private int drawn;
    private long drawnAt;

    /** @param firstBytes how many there were when the layer was first seen, {@code since} */
    private record State(long bytes, long total, long firstBytes, long since, boolean ready) {}

    PullLines(PrintStream out, boolean terminal) {
        this.out = out;
        this.terminal = terminal;
    }

    @Override
    public synchronized void fetched(Digest layer, long bytes, long total) {
        long now = System.nanoTime();
        State before = layers.getOrDefault(layer, new State(bytes, total, bytes, now, false));
        if (before.ready) {
            return;
        }
        boolean first = !layers.containsKey(layer);
        layers.put(layer, new State(bytes, total, before.firstBytes, before.since, false));
        if (terminal && (bytes == total || first || now - drawnAt >= INTERVAL_NANOS)) {
            draw(now);
        }
    }

    @Override
    public synchronized void ready(Digest layer, long total) {
        State before = layers.put(layer, new State(total, total, total, 0, true));
        if (before != null && before.ready) {
            return;
        }
        if (terminal) {
            draw(System.nanoTime());
        } else {
            out.println("runhv: layer " + shown(layer) + ", " + mebibytes(total) + " MiB: there");
        }
    }

    private void draw(long now) {
        drawnAt = now;
        StringBuilder text = new StringBuilder(UP.repeat(drawn));
        layers.forEach((digest, state) -> {
            int filled = state.total == 0 ? BAR : (int) (state.bytes * BAR / state.total);
            text.append(CLEAR).append(shown(digest)).append(" [");
            text.append("#".repeat(filled)).append(" ".repeat(BAR - filled)).append("] ");
            text.append(mebibytes(state.bytes))
                    .append(" of ")
                    .append(mebibytes(state.total))
                    .append(" MiB");
            long nanos = now - state.since;
            if (state.bytes < state.total && nanos > 0) {
                double bytesPerSecond = (state.bytes - state.firstBytes) * 1e9 / nanos;
                text.append(", ").append(mebibytes((long) bytesPerSecond)).append(" MiB/s");
            } else {
                text.append(state.ready ? ", there" : ", being stored");
            }
            text.append('\n');
        });
        drawn = layers.size();
        out.print(text);
        out.flush();
    }

    private static String shown(Digest digest) {
        return digest.hex().substring(0, SHOWN_DIGEST);
    }

    // String.format would load the classes of locales for one number.
    private static double mebibytes(long bytes) {
        return Math.round(bytes / MEBIBYTE * 10) / 10.0;
    }

    /**
     * What is printed in the end, of a push as well.
     *
     * @param bytes of the layers as they are stored
     */
    static String result(Request.Image request, Reference name, Digest digest, int layers, long bytes)
            throws IOException {
        if (request.has("quiet")) {
            return name + "\n";
        }
        return request.has("json") ? json(name, digest, layers, bytes) : name + "\ndigest: " + digest + "\n";
    }

    private static String json(Reference name, Digest digest, int layers, long bytes) throws IOException {
        StringWriter text = new StringWriter();
        try (JsonGenerator json = new JsonFactory().createGenerator(text)) {
            json.writeStartObject();
            json.writeStringField("name", name.toString());
            json.writeStringField("digest", digest.toString());
            json.writeNumberField("layers", layers);
            json.writeNumberField("bytes", bytes);
            json.writeEndObject();
        }
        return text + "\n";
    }
}
