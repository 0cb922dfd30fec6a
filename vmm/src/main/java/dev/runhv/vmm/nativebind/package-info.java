/** The only place that leaves the JVM: a micro-VM in this process by JNI, and the calls of the system that Java lacks. */
package dev.runhv.vmm.nativebind;
