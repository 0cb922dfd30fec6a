/** Makes tars and images for tests, byte by byte: also those that no honest tool would write. */
package dev.runhv.vmm.testing;
