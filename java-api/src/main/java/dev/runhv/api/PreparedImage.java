package dev.runhv.api;

/** An image whose root file system is in the store. Implemented by runhv; later versions tell more. */
public interface PreparedImage {
    /**
     * What was asked for.
     *
     * @return the reference as it was given
     */
    String reference();

    /**
     * What names its root file system: the same layers have the same, whatever image they are of.
     *
     * @return of lower-case letters and digits
     */
    String rootfsKey();
}
