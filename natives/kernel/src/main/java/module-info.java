/** The kernel of runhv's guests. */
module dev.runhv.natives.kernel {
    requires dev.runhv.api;

    provides dev.runhv.api.spi.NativeFiles with
            dev.runhv.natives.kernel.KernelFiles;
}
