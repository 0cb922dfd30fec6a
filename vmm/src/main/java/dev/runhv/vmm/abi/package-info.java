/**
 * The structures of the core's C interface ({@code runhv.h}, {@code control.h}) as they cross in bytes: by the control
 * channel, and through JNI.
 */
package dev.runhv.vmm.abi;
