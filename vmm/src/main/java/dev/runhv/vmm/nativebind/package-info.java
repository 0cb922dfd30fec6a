/**
 * The only place that leaves the JVM: a micro-VM in this process by JNI, its memory by FFM, and the calls of the system
 * that Java lacks.
 *
 * <p>Exported for programs that hold a micro-VM themselves, {@link dev.runhv.vmm.nativebind.InProcessVm}; unlike
 * {@code dev.runhv.api} it may change in any version.
 */
package dev.runhv.vmm.nativebind;
