package dev.runhv.vmm.runtime;

import dev.runhv.api.ImageEvent;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.image.PullProgress;
import dev.runhv.vmm.rootfs.RootfsProgress;
import java.util.function.Consumer;

/**
 * Tells a program how an image comes into the store.
 *
 * @param operation for what one should know of the image
 */
record ImageEvents(String operation, Consumer<? super ImageEvent> listener) implements PullProgress, RootfsProgress {
    @Override
    public void resolved(Digest image, int layers, long totalBytes) {
        listener.accept(new ImageEvent.Resolved(image.toString(), layers, totalBytes));
    }

    @Override
    public void fetched(Digest layer, long bytes, long totalBytes) {
        listener.accept(new ImageEvent.Fetched(layer.toString(), bytes, totalBytes));
    }

    @Override
    public void ready(Digest layer, long totalBytes) {
        listener.accept(new ImageEvent.LayerReady(layer.toString(), totalBytes));
    }

    /** Who is told of bytes that come is not told of bytes that are read. */
    @Override
    public void read(int layer, int layers, long bytes, long totalBytes) {}

    @Override
    public void warn(String text) {
        listener.accept(new ImageEvent.Warning(operation, text));
    }
}
