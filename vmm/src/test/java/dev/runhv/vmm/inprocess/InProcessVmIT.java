package dev.runhv.vmm.inprocess;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.ClosedException;
import dev.runhv.api.ContainerState;
import dev.runhv.api.ErrorCode;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.RunhvException;
import dev.runhv.api.Signal;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@Tag("native")
class InProcessVmIT {
    @TempDir
    Path folder;

    private Bundles bundles;

    @BeforeEach
    void bundles() {
        bundles = new Bundles(folder);
    }

    @Test
    void aContainerRunsInThisProcess() throws Exception {
        try (InProcessVm vm = bundles.create("sh", "-c", "exit 3")) {
            vm.start();

            assertThat(vm.waitFor()).isEqualTo(new ExitStatus.Exited(3));
            assertThat(vm.timings().exitsToFirstInstruction().all()).isPositive();
        }
    }

    @Test
    void oneAtATime() throws Exception {
        Path bundle = bundles.bundle(0, 0, "sleep", "1000");
        try (InProcessVm vm = bundles.createOf(bundle)) {
            vm.start();
            assertThatThrownBy(() -> bundles.createOf(bundle))
                    .isInstanceOfSatisfying(
                            RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CONFLICT));
            vm.signal(Signal.KILL);
            assertThat(vm.waitFor()).isEqualTo(new ExitStatus.Signaled(Signal.KILL));
        }
    }

    @Test
    void bootedIsNotStarted() throws Exception {
        try (InProcessVm vm = bundles.create("sh", "-c", "exit 4")) {
            vm.boot();
            vm.awaitCreated();
            assertThat(vm.state().status()).isEqualTo(ContainerState.Status.CREATED);
            vm.start();
            assertThat(vm.waitFor()).isEqualTo(new ExitStatus.Exited(4));
            assertThat(vm.state().status()).isEqualTo(ContainerState.Status.STOPPED);
        }
    }

    @Test
    void anotherProcessRunsAndThePauseHolds() throws Exception {
        try (InProcessVm vm = bundles.create("sleep", "1000")) {
            vm.start();
            vm.awaitStarted();
            var exec = vm.execute(
                    "{\"args\":[\"sh\",\"-c\",\"exit 5\"],\"cwd\":\"/\",\"env\":[\"PATH=/bin\"]}",
                    InProcessVm.Streams.NULL);
            assertThat(exec.get()).isEqualTo(new ExitStatus.Exited(5));
            vm.pause();
            assertThat(vm.state().status()).isEqualTo(ContainerState.Status.PAUSED);
            vm.resume();
            assertThat(vm.waitFor(java.time.Duration.ZERO)).isEmpty();
        }
    }

    @Test
    void useAfterCloseIsAnException() {
        InProcessVm vm = bundles.create("true");
        vm.close();
        vm.close();

        assertThatThrownBy(vm::start).isInstanceOf(ClosedException.class);
        assertThatThrownBy(vm::waitFor).isInstanceOf(ClosedException.class);
        assertThatThrownBy(vm::timings).isInstanceOf(ClosedException.class);
        assertThatThrownBy(() -> vm.signal(Signal.TERM)).isInstanceOf(ClosedException.class);
    }

    @Test
    void aBundleThatIsNotThereIsNamed() {
        Path absent = folder.resolve("absent");
        assertThatThrownBy(() -> bundles.createOf(absent))
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.NOT_FOUND))
                .hasMessageContaining(absent.toString());
    }
}
