/** The only place that leaves the JVM: the core in this process by JNI, and calls of the system that Java lacks by FFM. */
package dev.runhv.vmm.nativebind;
