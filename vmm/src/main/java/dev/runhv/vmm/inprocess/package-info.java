/**
 * A micro-VM in the JVM's own process, {@link dev.runhv.vmm.inprocess.InProcessVm}. Exported for programs that hold one
 * themselves; unlike {@code dev.runhv.api} it may change in any version.
 */
package dev.runhv.vmm.inprocess;
