/** The native core of runhv. */
module dev.runhv.natives.core {
    requires dev.runhv.api;

    provides dev.runhv.api.spi.NativeFiles with
            dev.runhv.natives.core.CoreFiles;
}
