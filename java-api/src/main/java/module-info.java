/** Containers, each in its own micro-VM, for Java programs. Types of the JDK only. */
module dev.runhv.api {
    requires static org.jspecify;

    exports dev.runhv.api;
    exports dev.runhv.api.spi;

    uses dev.runhv.api.spi.RunhvProvider;
}
