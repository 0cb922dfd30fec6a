package dev.runhv.vmm.runtime;

import dev.runhv.api.ImageEvent;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.image.PullProgress;
import dev.runhv.vmm.rootfs.RootfsProgress;
import java.util.function.Consumer;

/**
 * Tells a program how an image goes to its registry.
 *
 * @param operation for what one should know of the image
 */
record SentEvents(String operation, Consumer<? super ImageEvent> listener) implements PullProgress, RootfsProgress {
    @Override
    public void fetched(Digest layer, long bytes, long totalBytes) {
        listener.accept(new ImageEvent.Sent(layer.toString(), bytes, totalBytes));
    }

    /** No root file system is made. */
    @Override
    public void read(int layer, int layers, long bytes, long totalBytes) {}

    @Override
    public void warn(String text) {
        listener.accept(new ImageEvent.Warning(operation, text));
    }
}
