package dev.runhv.vmm.image;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.BlockInputStream;
import dev.runhv.vmm.content.Compression;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.StoreLease;
import dev.runhv.vmm.content.tar.TarReader;
import dev.runhv.vmm.registry.BlobStore;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.trust.SignaturePolicy;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;

/** Makes an image of one layer of a root file system's tar. */
public final class ImageImport {
    /** Of who says none. */
    public static final String USUAL_COMMENT = "Imported from a tar";

    private ImageImport() {}

    /**
     * @param tar perhaps by gzip or zstd; kept as it is
     * @param name that means the image from now on
     * @param changes instructions of a Dockerfile, as {@code docker import --change} takes them
     * @param comment of the image's history
     * @return its ID
     * @throws RunhvException where it is no tar, or a change is not understood
     * @throws InterruptedException while it is read; nothing has a name then
     */
    public static Digest put(Path tar, Reference name, List<String> changes, String comment, Path store)
            throws InterruptedException {
        String operation = "import " + tar;
        ImportedConfig config = new ImportedConfig(operation, changes);
        try (StoreLease _ = StoreLease.take(store)) {
            SignaturePolicy.current().require(operation, "tarball", List.of());
            byte[] text = config.text(diffId(tar), Instant.now().truncatedTo(ChronoUnit.SECONDS), comment);
            new NamedImages(store).put(name, put(new BlobStore(store.resolve("registry")), tar, text));
            return Digest.sha256(text);
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of(operation, e);
        }
    }

    /**
     * @param tar perhaps by gzip or zstd; kept as it is
     * @return its manifest
     */
    static Descriptor put(BlobStore store, Path tar, byte[] config) throws IOException {
        NewManifest manifest = new NewManifest(store);
        try (InputStream in = new BufferedInputStream(Files.newInputStream(tar))) {
            manifest.layer(Compression.of(in), store.add(Digest.Algorithm.SHA256, in));
        }
        return manifest.put(config);
    }

    /** Reads all of it, and sees that it is a tar; what is in it is for whoever runs it to judge. */
    static Digest diffId(Path tar) throws IOException {
        try (Hashed in = new Hashed(Compression.decompress(Files.newInputStream(tar)))) {
            TarReader reader = new TarReader(in);
            if (reader.next() == null) {
                throw new CorruptInputException("It is no tar, nor one by gzip or zstd: it has no entry");
            }
            while (reader.next() != null) {
                if (Thread.currentThread().isInterrupted()) {
                    throw new InterruptedIOException();
                }
            }
            in.transferTo(OutputStream.nullOutputStream());
            return Digest.of(Digest.Algorithm.SHA256, in.running);
        }
    }

    private static final class Hashed extends BlockInputStream {
        private final InputStream in;
        private final MessageDigest running = Digest.Algorithm.SHA256.newMessageDigest();
        private long left = ImageLimits.ARCHIVE_BYTES;

        Hashed(InputStream in) {
            this.in = in;
        }

        @Override
        public int read(byte[] buffer, int offset, int length) throws IOException {
            int read = in.read(buffer, offset, length);
            if (read > 0) {
                running.update(buffer, offset, read);
                left -= read;
            }
            if (left < 0) {
                throw new CorruptInputException(
                        "The tar has more than %d bytes decompressed".formatted(ImageLimits.ARCHIVE_BYTES));
            }
            return read;
        }

        @Override
        public void close() throws IOException {
            in.close();
        }
    }
}
