/** Images, root file systems, bundles and the life of a container. */
module dev.runhv.vmm {
    requires transitive dev.runhv.api;
    requires com.fasterxml.jackson.core;
    requires com.fasterxml.jackson.databind;
    requires com.fasterxml.jackson.dataformat.toml;
    requires com.github.luben.zstd_jni;
    requires com.google.gson;
    requires java.net.http;
    requires jdk.jfr;
    requires jdk.net;
    requires org.tukaani.xz;

    exports dev.runhv.vmm.inprocess;

    uses dev.runhv.api.spi.NativeFiles;

    provides dev.runhv.api.spi.RunhvProvider with
            dev.runhv.vmm.runtime.LocalRunhvProvider;
}
