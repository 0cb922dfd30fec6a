/**
 * Bytes from outside and what can be wrong with them: digests, compression, tar, and how a failure of reading or writing
 * gets its code. Knows no image, no store and no kernel.
 */
package dev.runhv.vmm.content;
