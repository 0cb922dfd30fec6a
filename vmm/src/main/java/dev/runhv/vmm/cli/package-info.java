/** The Java side of the {@code runhv} command. */
package dev.runhv.vmm.cli;
