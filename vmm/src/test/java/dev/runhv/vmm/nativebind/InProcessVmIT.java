package dev.runhv.vmm.nativebind;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.ClosedException;
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
    void aContainerRunsInThisProcess() {
        try (InProcessVm vm = bundles.create("sh", "-c", "exit 3")) {
            vm.start();

            assertThat(vm.waitFor()).isEqualTo(new ExitStatus.Exited(3));
            assertThat(vm.timings().exitsToFirstInstruction().get("all")).isPositive();
        }
    }

    @Test
    void oneAtATime() {
        Path bundle = bundles.bundle(0, 0, "sleep", "1000");
        try (InProcessVm vm = bundles.createOf(bundle)) {
            vm.start();
            assertThatThrownBy(() -> bundles.createOf(bundle))
                    .isInstanceOfSatisfying(
                            RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CONFLICT));
            vm.signal(Signal.KILL);
            assertThat(vm.waitFor()).isEqualTo(new ExitStatus.Signaled(9));
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
