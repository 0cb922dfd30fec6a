package dev.runhv.vmm.rootfs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.runhv.vmm.content.StoreLock;
import dev.runhv.vmm.content.TemporaryFile;
import java.io.BufferedReader;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.EnumSet;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Python is the other process: what it locks with fcntl(2) is what Java's locks are. */
class StoreLockTest {
    private static final String PYTHON = "/usr/bin/python3";
    private static final String HOLD = "import fcntl,sys; f=open(sys.argv[1],'w'); fcntl.lockf(f,fcntl.LOCK_EX);"
            + "print('held',flush=True); sys.stdin.read()";
    private static final String TRY =
            "import fcntl,sys; f=open(sys.argv[1],'w'); fcntl.lockf(f,fcntl.LOCK_EX|fcntl.LOCK_NB)";

    private static final Set<Thread.State> WAITS = EnumSet.of(Thread.State.WAITING, Thread.State.TIMED_WAITING);

    @TempDir
    private Path store;

    @BeforeEach
    void requirePython() {
        assumeThat(Path.of(PYTHON)).isExecutable();
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "the program that holds the lock is one of Linux")
    void waitingForAnotherProcessCanBeInterruptedAndItsDeathLetsGo() throws Exception {
        StoreLock.acquire(store, "key").close();
        Process holder = new ProcessBuilder(
                        PYTHON, "-c", HOLD, store.resolve("locks/key").toString())
                .start();
        try (BufferedReader out = holder.inputReader()) {
            assertThat(out.readLine()).isEqualTo("held");
            AtomicReference<Throwable> thrown = new AtomicReference<>();
            Thread waiting = Thread.ofPlatform().start(() -> {
                try {
                    StoreLock.acquire(store, "key").close();
                } catch (IOException | InterruptedException e) {
                    thrown.set(e);
                }
            });
            waiting.interrupt();
            waiting.join();
            assertThat(thrown.get()).isNotNull();

            holder.destroyForcibly();
            StoreLock.acquire(store, "key").close();
        }
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "the program that holds the lock is one of Linux")
    void anotherProcessIsKeptOut() throws Exception {
        try (StoreLock _ = StoreLock.acquire(store, "key")) {
            assertThat(isFree()).isFalse();
        }
        assertThat(isFree()).isTrue();
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "the program that asks for the lock is one of Linux")
    void anotherClassLoaderWaitsAndDoesNotDropTheLock() throws Exception {
        try (URLClassLoader other = otherLoader()) {
            Method acquire = method(other, StoreLock.class, "acquire", Path.class, String.class);
            AtomicReference<Throwable> thrown = new AtomicReference<>();
            try (StoreLock _ = StoreLock.acquire(store, "key")) {
                Thread waiting = Thread.ofPlatform().start(() -> {
                    try {
                        acquire.invoke(null, store, "key");
                    } catch (InvocationTargetException e) {
                        thrown.set(e.getCause());
                    } catch (IllegalAccessException e) {
                        thrown.set(e);
                    }
                });
                while (waiting.isAlive() && !WAITS.contains(waiting.getState())) {
                    Thread.onSpinWait(); // until it waits, or has given up
                }
                waiting.interrupt();
                waiting.join();
                assertThat(thrown.get()).isInstanceOf(InterruptedException.class);
                assertThat(isFree()).isFalse();
            }
            ((AutoCloseable) acquire.invoke(null, store, "key")).close();
        }
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "the program that asks for the lock is one of Linux")
    void aFileThatAnotherClassLoaderWritesIsNotSwept() throws Exception {
        try (URLClassLoader other = otherLoader();
                TemporaryFile file = TemporaryFile.create(store, "mine")) {
            method(other, TemporaryFile.class, "sweep", Path.class).invoke(null, store);

            assertThat(store.toFile().list()).hasSize(1);
            assertThat(isFree(store.resolve(store.toFile().list()[0]))).isFalse();
            file.moveTo(store.resolve("whole"));
        }
        assertThat(store.toFile().list()).containsExactly("whole");
    }

    @Test
    void aLockOfThisJvmThatIsNotOursIsNoFailureOfTheSweep() throws Exception {
        Path foreign = Files.createFile(store.resolve(".foreign.1-2-3.tmp"));
        try (FileChannel channel = FileChannel.open(foreign, StandardOpenOption.WRITE)) {
            assertThat(channel.lock().isValid()).isTrue();

            TemporaryFile.sweep(store);
        }
        assertThat(foreign).exists();
    }

    private boolean isFree() throws IOException, InterruptedException {
        return isFree(store.resolve("locks/key"));
    }

    private static boolean isFree(Path file) throws IOException, InterruptedException {
        return new ProcessBuilder(PYTHON, "-c", TRY, file.toString()).start().waitFor() == 0;
    }

    /** This project's classes once more, as a second application in a server has them. */
    private static URLClassLoader otherLoader() throws IOException {
        // The platform's loader would ask that of the application for the packages of its modules.
        return new URLClassLoader(new URL[] {Path.of("target/classes").toUri().toURL()}, null);
    }

    private static Method method(ClassLoader loader, Class<?> type, String name, Class<?>... parameters)
            throws ReflectiveOperationException {
        Class<?> loaded = loader.loadClass(type.getName());
        assertThat(loaded.getClassLoader()).isSameAs(loader);
        Method method = loaded.getDeclaredMethod(name, parameters);
        method.setAccessible(true);
        return method;
    }
}
