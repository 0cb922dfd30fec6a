package dev.runhv.natives.kernel;

import dev.runhv.api.spi.NativeFiles;

/** The files of this jar. */
public final class KernelFiles implements NativeFiles {
    @Override
    public boolean isFor(String platform) {
        return true; // a guest is x86-64 on every host
    }

    @Override
    public String folder() {
        return "META-INF/runhv/kernel";
    }
}
