package dev.runhv.vmm.content.tar;

import dev.runhv.vmm.content.Compression;
import java.io.IOException;
import java.io.InputStream;

/** The archives that lie beside the tests. */
public final class Corpus {
    private Corpus() {}

    public static byte[] read(String file) throws IOException {
        try (InputStream in = Compression.decompress(Corpus.class.getResourceAsStream(file))) {
            return in.readAllBytes();
        }
    }
}
