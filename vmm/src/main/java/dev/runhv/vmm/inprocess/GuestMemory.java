package dev.runhv.vmm.inprocess;

import java.lang.foreign.MemorySegment;

/**
 * A piece of a VM's RAM.
 *
 * @param address guest-physical, of its first byte
 * @param bytes read-only; the guest changes them at any moment. Every access after the VM was closed throws
 *     {@link IllegalStateException}
 */
public record GuestMemory(long address, MemorySegment bytes) {}
