/** The software CPU of runhv. */
module dev.runhv.natives.softcpu {
    requires dev.runhv.api;

    provides dev.runhv.api.spi.NativeFiles with
            dev.runhv.natives.softcpu.SoftCpuFiles;
}
