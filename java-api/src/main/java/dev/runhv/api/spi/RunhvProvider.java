package dev.runhv.api.spi;

import dev.runhv.api.Runhv;

/** Is implemented by what runs containers; found by {@link java.util.ServiceLoader}. */
public interface RunhvProvider {
    /** @see Runhv#open() */
    Runhv open();
}
