/** A distribution out of jars, for programs that have none installed. */
package dev.runhv.vmm.natives;
