package dev.runhv.vmm.inprocess;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * Memory of the core as Java sees it: read-only, and unreachable from {@link #close()} on. The VM that the memory belongs to
 * is destroyed after that. Why no access can come later, by whatever thread:
 *
 * <ol>
 *   <li>All views are of one shared arena. While that closes the JVM stops at no place between the check of a view
 *       and its access (JEP 454): an access is over before the close returns, or throws.
 *   <li>What the JDK itself holds during an operation, such as a write to a channel, keeps the arena from closing:
 *       {@code close} waits for its end.
 *   <li>An address that a thread has asked for before the close and makes a view of after it becomes a view of a closed
 *       arena: every access throws.
 * </ol>
 *
 * <p>Addresses come through JNI as numbers, from the same class that has the handle: a call by FFM would need the symbols
 * exported, and a second way for the core's errors.
 */
final class MemoryViews implements AutoCloseable {
    private static final long RETRY_NANOS = TimeUnit.MILLISECONDS.toNanos(1);

    private final Arena arena = Arena.ofShared();

    @SuppressWarnings("restricted") // the module is launched with --enable-native-access
    MemorySegment of(long address, long sizeBytes) {
        return MemorySegment.ofAddress(address)
                .reinterpret(sizeBytes, arena, null)
                .asReadOnly();
    }

    /** Once. */
    @Override
    public void close() {
        while (true) {
            try {
                arena.close();
                return;
            } catch (IllegalStateException e) {
                // An operation has a view in its hands. Nobody tells of its end.
                LockSupport.parkNanos(RETRY_NANOS);
            }
        }
    }
}
