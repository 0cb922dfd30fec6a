package dev.runhv.vmm.content;

import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** The same done for several things, a few at once: layers are fetched, decompressed and written by different parts of a host. */
public final class SideBySide {
    /** Docker's. */
    private static final int AT_ONCE = 3;

    private SideBySide() {}

    public interface Task {
        void run(int index) throws InterruptedException;
    }

    /**
     * Runs a task for each index, in any order. What the first that fails throws is thrown here, once the others have been
     * interrupted: none runs on when this has returned.
     */
    public static void run(int count, Task task) throws InterruptedException {
        try (ExecutorService threads = Executors.newFixedThreadPool(
                Math.clamp(count, 1, AT_ONCE),
                Thread.ofPlatform().daemon().name("runhv-layer-", 0).factory())) {
            try {
                ExecutorCompletionService<Void> ended = new ExecutorCompletionService<>(threads);
                for (int i = 0; i < count; i++) {
                    int index = i;
                    ended.submit(() -> {
                        task.run(index);
                        return null;
                    });
                }
                for (int i = 0; i < count; i++) {
                    ended.take().get();
                }
            } catch (ExecutionException e) {
                switch (e.getCause()) {
                    case RuntimeException failure -> throw failure;
                    case Error failure -> throw failure;
                    case Throwable failure -> throw new IllegalStateException(failure);
                }
            } finally {
                threads.shutdownNow();
            }
        }
    }
}
