package dev.runhv.vmm.content.tar;

/** Bounds on the headers of a tar; a header that is larger is an attack, not an archive. */
public final class TarLimits {
    /** One PAX header: the attributes of one file (64 KiB), twice and in base64, with long names. */
    public static final int PAX_HEADER_BYTES = 1 << 20;

    /** One GNU long name. Linux takes 4096. */
    public static final int LONG_NAME_BYTES = 64 << 10;

    public static final int SPARSE_PIECES = 1 << 18;
    /** PAX and GNU headers before one entry. */
    static final int EXTENSION_HEADERS = 16;

    private TarLimits() {}
}
