/**
 * Containers, each in its own micro-VM: {@link dev.runhv.api.Runhv} is the way in. Who requires this module has the API, what
 * implements it, and the native files that are on the module path.
 */
module dev.runhv {
    requires transitive dev.runhv.api;
    requires dev.runhv.vmm;
}
