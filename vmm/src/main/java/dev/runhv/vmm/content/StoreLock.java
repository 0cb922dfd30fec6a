package dev.runhv.vmm.content;

import java.io.Closeable;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Held by the one thread of all processes that makes one thing of the store; who waits for it finds the thing made, or
 * makes it. The system takes it from a process that dies. Its file stays: to delete it would give two processes a lock on
 * two files of one name.
 */
public final class StoreLock implements Closeable {
    /** How soon a class loader sees that another one of this JVM has let go: there is nothing to wait on. */
    private static final long OTHER_LOADER_MILLIS = 20;

    private static final Map<Path, ReentrantLock> OF_THIS_LOADER = new ConcurrentHashMap<>();

    private final ReentrantLock threads;
    private final String property;
    private final FileChannel file;

    private StoreLock(ReentrantLock threads, String property, FileChannel file) {
        this.threads = threads;
        this.property = property;
        this.file = file;
    }

    /**
     * Waits until nobody else holds the lock. The current thread must not hold it.
     *
     * @param store made where it is not there
     * @param name of the thing, a file's name
     */
    public static StoreLock acquire(Path store, String name) throws IOException, InterruptedException {
        Path path = Files.createDirectories(store.resolve("locks")).toRealPath().resolve(name);
        ReentrantLock threads = OF_THIS_LOADER.computeIfAbsent(path, key -> new ReentrantLock());
        threads.lockInterruptibly();
        String property = "dev.runhv.lock:" + path;
        FileChannel file = null;
        boolean held = false;
        try {
            // A file's lock is the process's: a second class loader must not even open the file, since to close it
            // again
            // would drop the lock of the first (POSIX, fcntl). What class loaders share are the system properties.
            while (System.getProperties().putIfAbsent(property, "held") != null) {
                Thread.sleep(OTHER_LOADER_MILLIS);
            }
            held = true;
            file = FileChannel.open(path, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            file.lock();
            StoreLock lock = new StoreLock(threads, property, file);
            file = null;
            return lock;
        } finally {
            if (file != null || !held) {
                release(threads, held ? property : null, file);
            }
        }
    }

    private static void release(ReentrantLock threads, String property, FileChannel file) throws IOException {
        try {
            if (file != null) {
                file.close();
            }
        } finally {
            if (property != null) {
                System.getProperties().remove(property);
            }
            threads.unlock();
        }
    }

    @Override
    public void close() throws IOException {
        release(threads, property, file);
    }
}
