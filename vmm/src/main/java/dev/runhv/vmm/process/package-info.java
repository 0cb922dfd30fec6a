/** The distribution's programs, and the process that is a micro-VM. */
package dev.runhv.vmm.process;
