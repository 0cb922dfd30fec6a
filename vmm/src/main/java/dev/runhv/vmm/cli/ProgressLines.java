package dev.runhv.vmm.cli;

import dev.runhv.vmm.rootfs.RootfsProgress;
import java.io.PrintStream;

/** Tells a person how far the layers are read: a line per layer at its start, and one for each second. */
final class ProgressLines implements RootfsProgress {
    private static final long INTERVAL_NANOS = 1_000_000_000;
    private static final double MEBIBYTE = 1 << 20;

    private final PrintStream out;
    private int shownLayer;
    private long shownAt;

    ProgressLines(PrintStream out) {
        this.out = out;
    }

    @Override
    public void read(int layer, int layers, long bytes, long totalBytes) {
        long now = System.nanoTime();
        if (layer == shownLayer && now - shownAt < INTERVAL_NANOS) {
            return;
        }
        shownLayer = layer;
        shownAt = now;
        out.println("runhv: reading layer " + layer + " of " + layers + ", " + mebibytes(bytes) + " of "
                + mebibytes(totalBytes) + " MiB");
    }

    @Override
    public void warn(String text) {
        out.println("runhv: warning: " + text);
    }

    // String.format would load the classes of locales for one number.
    private static double mebibytes(long bytes) {
        return Math.round(bytes / MEBIBYTE * 10) / 10.0;
    }
}
