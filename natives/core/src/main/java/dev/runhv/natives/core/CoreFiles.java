package dev.runhv.natives.core;

import dev.runhv.api.spi.NativeFiles;

/** The files of this jar. */
public final class CoreFiles implements NativeFiles {
    @Override
    public boolean isFor(String platform) {
        return platform.equals("linux-x86_64");
    }

    @Override
    public String folder() {
        return "META-INF/runhv/core";
    }
}
