package dev.runhv.vmm.cli;

import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.image.PullProgress;
import dev.runhv.vmm.rootfs.RootfsProgress;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.util.Map;

/** Tells a program that asked by the image service how an image comes: a JSON object in each line (docs/prepare.md). */
record ProgressRecords(PrintStream out) implements PullProgress, RootfsProgress {
    @Override
    public void resolved(Digest image, int layers, long totalBytes) {
        print(Map.of("image", image.toString(), "layers", layers, "total", totalBytes));
    }

    @Override
    public void fetched(Digest layer, long bytes, long totalBytes) {
        print(Map.of("layer", layer.toString(), "bytes", bytes, "total", totalBytes));
    }

    @Override
    public void ready(Digest layer, long totalBytes) {
        print(Map.of("ready", layer.toString(), "total", totalBytes));
    }

    @Override
    public void read(int layer, int layers, long bytes, long totalBytes) {}

    @Override
    public void warn(String text) {
        print(Map.of("warning", text));
    }

    private void print(Map<String, Object> object) {
        try {
            // One write, for one frame: where the reader is behind, whole lines are dropped.
            out.print(JsonText.of(object) + "\n");
            out.flush();
        } catch (IOException e) {
            throw new UncheckedIOException(e); // of a writer in memory
        }
    }
}
