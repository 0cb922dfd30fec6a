package dev.runhv.vmm.registry;

import dev.runhv.vmm.content.BlockInputStream;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.HeldFiles;
import dev.runhv.vmm.content.StoreLock;
import dev.runhv.vmm.content.StoreQuota;
import dev.runhv.vmm.content.TemporaryFile;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.util.Locale;
import java.util.Optional;
import java.util.function.LongConsumer;

/**
 * Content by digest: {@code blobs/sha256/HEX} as in an OCI layout, complete or not there; {@code partial/sha256-HEX} is what
 * has come so far. Any number of threads and processes may use one store: one fetches a blob, the others wait for it.
 */
public final class BlobStore {
    private static final int BUFFER = 1 << 18;

    private final Path root;
    private final StoreQuota quota;

    /** @param root {@code registry} of a store, made when it is needed */
    public BlobStore(Path root) {
        this.root = root;
        this.quota = StoreQuota.of(root.toAbsolutePath().getParent());
    }

    /** Where the bytes of a blob come from. */
    interface Origin {
        /** @param offset the first byte that is wanted, and that comes */
        InputStream open(long offset);
    }

    public Path root() {
        return root;
    }

    /** Where whole blobs are, a folder for each algorithm. */
    public Path blobs() {
        return root.resolve("blobs");
    }

    /** Where what has come so far is. */
    public Path partial() {
        return root.resolve("partial");
    }

    /** Where a blob is, or will be. */
    public Path path(Digest digest) {
        return blobs().resolve(algorithm(digest)).resolve(digest.hex());
    }

    /**
     * Gets a blob where it is not there, going on where an earlier attempt stopped.
     *
     * @param progress is told how many bytes there are, as they come
     * @throws CorruptInputException where what came has another digest; nothing of it stays
     * @throws IOException where the origin or the disk failed; what has come stays for the next attempt
     */
    void fetch(Digest digest, long size, Origin origin, LongConsumer progress)
            throws IOException, InterruptedException {
        Optional<InputStream> incoming = open(digest, size, origin, progress);
        if (incoming.isPresent()) {
            try (InputStream in = incoming.get()) {
                in.transferTo(OutputStream.nullOutputStream());
            }
        }
        progress.accept(size);
    }

    /**
     * Before so many bytes are fetched.
     *
     * @throws dev.runhv.vmm.content.QuotaExceededException where the store may not have that many more
     */
    public void requireRoom(long bytes) throws IOException {
        quota.require(bytes);
    }

    public boolean has(Digest digest) {
        return Files.exists(path(digest));
    }

    /**
     * Puts content in whose digest is not known before.
     *
     * @param content read to its end
     */
    public Added add(Digest.Algorithm algorithm, InputStream content) throws IOException {
        return add(algorithm, content, TemporaryFile::moveTo);
    }

    /** As {@link #add}, of a registry's: a crash may take it, as it may take blobs that were fetched. */
    public void addToCache(Digest.Algorithm algorithm, InputStream content) throws IOException {
        add(algorithm, content, TemporaryFile::moveToCache);
    }

    /** Deletes what processes that were killed have left of what they added. */
    public void sweep() throws IOException {
        TemporaryFile.sweep(Files.createDirectories(partial()));
    }

    private interface Naming {
        void move(TemporaryFile file, Path whole) throws IOException;
    }

    private Added add(Digest.Algorithm algorithm, InputStream content, Naming naming) throws IOException {
        sweep();
        try (TemporaryFile file = TemporaryFile.create(partial(), "added")) {
            MessageDigest running = algorithm.newMessageDigest();
            byte[] buffer = new byte[BUFFER];
            for (int read = content.read(buffer); read >= 0; read = content.read(buffer)) {
                running.update(buffer, 0, read);
                quota.take(read);
                file.write(ByteBuffer.wrap(buffer, 0, read));
            }
            Added added =
                    new Added(Digest.of(algorithm, running), file.channel().position());
            Path whole = path(added.digest());
            Files.createDirectories(whole.getParent());
            try {
                naming.move(file, whole);
            } catch (FileSystemException e) {
                // Windows replaces no file that somebody reads. What has this name has these bytes.
                if (!Files.exists(whole)) {
                    throw e;
                }
            }
            return added;
        }
    }

    /** @param size in bytes */
    public record Added(Digest digest, long size) {}

    /**
     * The bytes of a blob that is not there while they come, first those that came before. It is kept when they were read to
     * the end, which throws what {@link #fetch} throws. Nobody else gets the blob until the stream is closed, by the thread that
     * opened it; one thread at a time reads.
     *
     * @return empty where the blob is there
     */
    Optional<InputStream> open(Digest digest, long size, Origin origin, LongConsumer progress)
            throws IOException, InterruptedException {
        Path whole = path(digest);
        if (Files.exists(whole)) {
            return Optional.empty();
        }
        String name = algorithm(digest) + "-" + digest.hex();
        StoreLock lock = StoreLock.acquire(root, "blob-" + name);
        Incoming incoming = null;
        try {
            // Whoever had the lock may just have fetched it.
            if (!Files.exists(whole)) {
                Path partial = Files.createDirectories(partial()).resolve(name);
                incoming = new Incoming(lock, quota, whole, partial, digest, size, origin, progress);
            }
        } finally {
            if (incoming == null) {
                lock.close();
            }
        }
        return Optional.ofNullable(incoming);
    }

    private static final class Incoming extends BlockInputStream {
        private final StoreLock lock;
        private final StoreQuota quota;
        private final Path whole;
        private final Path partial;
        private final Digest digest;
        private final long size;
        private final Origin origin;
        private final LongConsumer progress;
        private final FileChannel file;
        private final MessageDigest running;
        /** Bytes that came before. */
        private final long before;

        private long count;
        private InputStream body; // null until it is needed
        private boolean kept;

        private Incoming(
                StoreLock lock,
                StoreQuota quota,
                Path whole,
                Path partial,
                Digest digest,
                long size,
                Origin origin,
                LongConsumer progress)
                throws IOException {
            this.lock = lock;
            this.quota = quota;
            this.whole = whole;
            this.partial = partial;
            this.digest = digest;
            this.size = size;
            this.origin = origin;
            this.progress = progress;
            this.running = digest.algorithm().newMessageDigest();
            this.file = FileChannel.open(
                    partial, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
            this.before = Math.min(file.size(), size);
        }

        @Override
        public int read(byte[] buffer, int offset, int length) throws IOException {
            if (length == 0) {
                return 0;
            }
            if (count == size) {
                keep();
                return -1;
            }
            int wanted = (int) Math.min(length, size - count);
            int read = count < before
                    ? readAgain(buffer, offset, (int) Math.min(wanted, before - count))
                    : receive(buffer, offset, wanted);
            running.update(buffer, offset, read);
            count += read;
            progress.accept(count);
            return read;
        }

        private int readAgain(byte[] buffer, int offset, int wanted) throws IOException {
            int read = file.read(ByteBuffer.wrap(buffer, offset, wanted), count);
            if (read < 0) {
                throw new IOException("A partial blob became shorter while it was read");
            }
            return read;
        }

        private int receive(byte[] buffer, int offset, int wanted) throws IOException {
            if (body == null) {
                body = origin.open(count);
            }
            int read = body.read(buffer, offset, wanted);
            if (read < 0) {
                throw new IOException("The registry ended a blob %d bytes too early".formatted(size - count));
            }
            quota.take(read);
            ByteBuffer bytes = ByteBuffer.wrap(buffer, offset, read);
            for (long at = count; bytes.hasRemaining(); ) {
                at += file.write(bytes, at);
            }
            return read;
        }

        private void keep() throws IOException {
            if (kept) {
                return;
            }
            Digest actual = Digest.of(digest.algorithm(), running);
            if (!actual.equals(digest)) {
                file.truncate(0);
                throw new CorruptInputException(
                        "The registry sent %s for %s: it does not match its digest".formatted(actual, digest));
            }
            file.truncate(size).force(true);
            // Windows renames no file that is open.
            file.close();
            moveTo(whole, partial);
            kept = true;
        }

        @Override
        public void close() throws IOException {
            try (lock;
                    file) {
                if (body != null) {
                    body.close();
                }
            }
        }
    }

    private static void moveTo(Path whole, Path partial) throws IOException {
        Files.createDirectories(whole.getParent());
        HeldFiles.replace(partial, whole);
    }

    private static String algorithm(Digest digest) {
        return digest.algorithm().name().toLowerCase(Locale.ROOT);
    }
}
