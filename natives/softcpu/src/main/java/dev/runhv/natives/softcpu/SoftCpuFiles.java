package dev.runhv.natives.softcpu;

import dev.runhv.api.spi.NativeFiles;

/** The files of this jar. */
public final class SoftCpuFiles implements NativeFiles {
    @Override
    public boolean isFor(String platform) {
        return platform.equals("linux-x86_64");
    }

    @Override
    public String folder() {
        return "META-INF/runhv/softcpu";
    }
}
