package dev.runhv.api.spi;

import dev.runhv.api.Runhv;

/** Is implemented by what runs containers; found by {@link java.util.ServiceLoader}. */
public interface RunhvProvider {
    /**
     * Opens a runhv.
     *
     * @param configuration what was said about it
     * @return to be closed
     * @see dev.runhv.api.Runhv.Builder#open()
     */
    Runhv open(Configuration configuration);
}
