package dev.runhv.vmm.kernel;

import java.util.OptionalLong;

/**
 * What it took from a kernel's first instruction to that of a program without mounts and namespaces of its own, once.
 *
 * @param instructions of the guest; empty where the engine cannot count
 * @param exits of the virtual processor
 * @param micros of the host's time, from the kernel's entry to the program
 */
public record BootCost(String engine, long memoryBytes, OptionalLong instructions, long exits, long micros) {}
