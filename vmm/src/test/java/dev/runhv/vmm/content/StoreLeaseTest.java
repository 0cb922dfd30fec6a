package dev.runhv.vmm.content;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.BufferedReader;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Python is the other process: what it locks with fcntl(2) is what Java's locks are. */
class StoreLeaseTest {
    private static final String PYTHON = "/usr/bin/python3";
    private static final String HOLD = "import fcntl,sys; f=open(sys.argv[1],'r+'); fcntl.lockf(f,fcntl.%s);"
            + "print('held',flush=True); sys.stdin.read()";

    @TempDir
    private Path store;

    @Test
    void leasesAreSharedAndKeepOutWhoWantsTheStoreAlone() throws Exception {
        StoreLease one = StoreLease.take(store);
        StoreLease two = StoreLease.take(store);
        assertThat(StoreLease.tryAlone(store)).isEmpty();
        one.close();
        one.close();
        assertThat(StoreLease.tryAlone(store)).isEmpty();
        two.close();
        try (StoreLease alone = StoreLease.tryAlone(store).orElseThrow()) {
            assertThat(alone).isNotNull();
            assertThat(StoreLease.tryAlone(store)).isEmpty();
        }
        StoreLease.take(store).close();
    }

    @Test
    void whoeverWaitsForOneHasItAfterTheOther() throws Exception {
        StoreLease lease = StoreLease.take(store);
        AtomicBoolean alone = new AtomicBoolean();
        Thread waiting = Thread.ofPlatform().start(() -> {
            try (StoreLease _ = StoreLease.takeAlone(store)) {
                alone.set(true);
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        while (waiting.getState() != Thread.State.TIMED_WAITING) {
            Thread.onSpinWait(); // until it has looked once
        }
        // Who waits keeps nobody from sharing: that might be who is waited for.
        StoreLease.take(store).close();
        assertThat(alone).isFalse();
        lease.close();
        waiting.join();
        assertThat(alone).isTrue();
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "the program that holds a lease is one of Linux")
    void anotherProcessSharesOrKeepsOutAndItsDeathLetsGo() throws Exception {
        assumeThat(Path.of(PYTHON)).isExecutable();
        StoreLease.take(store).close();
        Process sharing = process("LOCK_SH");
        try {
            StoreLease.take(store).close();
            assertThat(StoreLease.tryAlone(store)).isEmpty();
        } finally {
            sharing.destroyForcibly().onExit().join();
        }
        Process alone = process("LOCK_EX");
        Thread waiting = Thread.ofPlatform().start(() -> {
            try {
                StoreLease.take(store).close();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        while (waiting.getState() != Thread.State.TIMED_WAITING) {
            Thread.onSpinWait(); // until it has looked once
        }
        alone.destroyForcibly().onExit().join();
        waiting.join();
        StoreLease.tryAlone(store).orElseThrow().close();
    }

    private Process process(String how) throws Exception {
        Process process = new ProcessBuilder(
                        PYTHON,
                        "-c",
                        HOLD.formatted(how),
                        store.resolve("locks/use").toString())
                .start();
        BufferedReader out = process.inputReader();
        assertThat(out.readLine()).isEqualTo("held");
        return process;
    }
}
