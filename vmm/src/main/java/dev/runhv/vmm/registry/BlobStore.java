package dev.runhv.vmm.registry;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.StoreLock;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.util.Locale;
import java.util.function.LongConsumer;

/**
 * Content by digest: {@code blobs/sha256/HEX} as in an OCI layout, complete or not there; {@code partial/sha256-HEX} is what
 * has come so far. Any number of threads and processes may use one store: one fetches a blob, the others wait for it.
 */
public final class BlobStore {
    private static final int BUFFER = 1 << 16;

    private final Path root;

    /** @param root made when it is needed */
    public BlobStore(Path root) {
        this.root = root;
    }

    /** Bytes of a blob from one on. */
    interface Origin {
        /** @param offset the first byte that is wanted; the answer may begin at 0 instead */
        Body open(long offset) throws IOException, InterruptedException;
    }

    /** @param offset of the first byte of the content in the blob */
    record Body(InputStream content, long offset) {}

    public Path root() {
        return root;
    }

    Path path(Digest digest) {
        return root.resolve("blobs").resolve(algorithm(digest)).resolve(digest.hex());
    }

    /**
     * Gets a blob where it is not there, going on where an earlier attempt stopped.
     *
     * @param progress is told how many bytes there are, as they come
     * @throws CorruptInputException where what came has another size or digest; nothing of it stays
     * @throws IOException where the origin or the disk failed; what has come stays for the next attempt
     */
    void fetch(Digest digest, long size, Origin origin, LongConsumer progress)
            throws IOException, InterruptedException {
        Path whole = path(digest);
        if (!Files.exists(whole)) {
            fetchMissing(whole, digest, size, origin, progress);
        }
        progress.accept(size);
    }

    private void fetchMissing(Path whole, Digest digest, long size, Origin origin, LongConsumer progress)
            throws IOException, InterruptedException {
        String name = algorithm(digest) + "-" + digest.hex();
        try (StoreLock _ = StoreLock.acquire(root, "blob-" + name)) {
            // Whoever had the lock may just have fetched it.
            if (!Files.exists(whole)) {
                Path partial = Files.createDirectories(root.resolve("partial")).resolve(name);
                receive(partial, digest, size, origin, progress);
                moveTo(whole, partial);
            }
        }
    }

    private static void receive(Path partial, Digest digest, long size, Origin origin, LongConsumer progress)
            throws IOException, InterruptedException {
        try (FileChannel file = FileChannel.open(
                partial, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            MessageDigest running = digest.algorithm().newMessageDigest();
            long count = Math.min(file.size(), size);
            readAgain(file, count, running);
            if (count < size || size == 0) {
                Body body = origin.open(count);
                try (InputStream in = body.content()) {
                    if (body.offset() != count) {
                        running.reset();
                        count = 0;
                    }
                    file.truncate(count).position(count);
                    append(file, in, size - count, running, progress);
                }
            }
            Digest actual = Digest.of(digest.algorithm(), running);
            if (!actual.equals(digest)) {
                file.truncate(0);
                throw new CorruptInputException(
                        "The registry sent %s for %s: it does not match its digest".formatted(actual, digest));
            }
            file.truncate(size).force(true);
        }
    }

    private static void readAgain(FileChannel file, long count, MessageDigest running) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(BUFFER);
        for (long position = 0; position < count; position += buffer.limit()) {
            buffer.clear().limit((int) Math.min(BUFFER, count - position));
            while (buffer.hasRemaining()) {
                if (file.read(buffer, position + buffer.position()) < 0) {
                    throw new IOException("A partial blob became shorter while it was read");
                }
            }
            running.update(buffer.flip());
        }
    }

    private static void append(
            FileChannel file, InputStream in, long wanted, MessageDigest running, LongConsumer progress)
            throws IOException {
        byte[] buffer = new byte[BUFFER];
        long left = wanted;
        while (left > 0) {
            int read = in.read(buffer, 0, (int) Math.min(buffer.length, left));
            if (read < 0) {
                throw new IOException("The registry ended a blob %d bytes too early".formatted(left));
            }
            running.update(buffer, 0, read);
            ByteBuffer bytes = ByteBuffer.wrap(buffer, 0, read);
            while (bytes.hasRemaining()) {
                file.write(bytes);
            }
            left -= read;
            progress.accept(file.position());
        }
    }

    private static void moveTo(Path whole, Path partial) throws IOException {
        Files.createDirectories(whole.getParent());
        Files.move(partial, whole, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    private static String algorithm(Digest digest) {
        return digest.algorithm().name().toLowerCase(Locale.ROOT);
    }
}
