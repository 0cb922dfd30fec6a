package dev.runhv.vmm.content;

import dev.runhv.api.RunhvException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/**
 * While anybody holds a lease, nothing is removed from the store: whoever makes or finds something there holds one until it
 * has a name, or is open. Any number of threads and processes hold leases at once; who removes holds the store alone. It is a
 * lock on {@code locks/use} in the store, which the system takes from a process that dies.
 */
public final class StoreLease implements AutoCloseable {
    /** How soon a waiting thread looks again: a lock that another class loader of this JVM has cannot be waited on. */
    private static final long LOOK_AGAIN_MILLIS = 20;

    private static final Map<Path, Use> OF_THIS_LOADER = new ConcurrentHashMap<>();

    private final Use use; // null where there is nothing to lock
    private boolean open = true;

    private StoreLease(Use use) {
        this.use = use;
    }

    /**
     * Waits while somebody removes something. A thread may hold any number.
     *
     * @param store made where it is not there. Who may not write to it removes nothing there, and has a lease for nothing
     * @throws RunhvException where the lock cannot be asked for
     */
    public static StoreLease take(Path store) throws InterruptedException {
        try {
            return wait(store, true);
        } catch (IOException e) {
            return switch (SystemErrors.number(e)) {
                case SystemErrors.EACCES, SystemErrors.EPERM, SystemErrors.EROFS -> new StoreLease(null);
                default -> throw failure(store, e);
            };
        }
    }

    /** Waits until there is no lease: for this one alone. */
    public static StoreLease takeAlone(Path store) throws InterruptedException {
        try {
            return wait(store, false);
        } catch (IOException e) {
            throw failure(store, e);
        }
    }

    /** As {@link #takeAlone}, but empty where somebody else has one. */
    public static Optional<StoreLease> tryAlone(Path store) {
        try {
            return attempt(use(store), false);
        } catch (IOException e) {
            throw failure(store, e);
        }
    }

    private static StoreLease wait(Path store, boolean shared) throws IOException, InterruptedException {
        Use use = use(store);
        Optional<StoreLease> lease = attempt(use, shared);
        while (lease.isEmpty()) {
            // Not in the system's queue: a thread in it would have to keep others of this JVM from sharing.
            Thread.sleep(LOOK_AGAIN_MILLIS);
            lease = attempt(use, shared);
        }
        return lease.get();
    }

    private static Use use(Path store) throws IOException {
        Path file = Files.createDirectories(store.resolve("locks")).toRealPath().resolve("use");
        return OF_THIS_LOADER.computeIfAbsent(file, Use::new);
    }

    private static Optional<StoreLease> attempt(Use use, boolean shared) throws IOException {
        return use.enter(shared) ? Optional.of(new StoreLease(use)) : Optional.empty();
    }

    private static RunhvException failure(Path store, IOException cause) {
        return Failures.of("use the image store " + store, cause);
    }

    /** {@inheritDoc} Once more is once. */
    @Override
    public void close() {
        if (open && use != null) {
            open = false;
            use.leave();
        }
    }

    /**
     * What this class loader has of one store's lock. A lock on a file is the process's: one channel holds it for all
     * threads, and other class loaders must not even open the file (POSIX, fcntl); what they share are system properties.
     */
    private static final class Use {
        private final Path path;
        private final String property;
        private FileChannel file;
        private boolean shared;
        private int holders;

        Use(Path path) {
            this.path = path;
            this.property = "dev.runhv.lock:" + path;
        }

        /** @return false where somebody has it in a way that keeps this one out */
        synchronized boolean enter(boolean forAll) throws IOException {
            if (holders > 0) {
                boolean together = shared && forAll;
                holders += together ? 1 : 0;
                return together;
            }
            if (System.getProperties().putIfAbsent(property, "held") != null) {
                return false;
            }
            try {
                file = FileChannel.open(
                        path, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
                FileLock lock = file.tryLock(0, Long.MAX_VALUE, forAll);
                holders = lock == null ? 0 : 1;
                shared = forAll;
                return lock != null;
            } finally {
                if (holders == 0) {
                    release();
                }
            }
        }

        synchronized void leave() {
            holders--;
            if (holders == 0) {
                release();
            }
        }

        private void release() {
            try {
                if (file != null) {
                    file.close();
                }
            } catch (IOException e) {
                throw failure(path, e); // nothing was written: no system has a reason
            } finally {
                file = null;
                System.getProperties().remove(property);
            }
        }
    }
}
