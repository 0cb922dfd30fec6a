/** The catalogue of kernels that containers can be given (docs/kernels.md). */
package dev.runhv.vmm.kernel;
