package dev.runhv.vmm.nativebind;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.ClosedException;
import dev.runhv.api.ErrorCode;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.RunhvException;
import dev.runhv.api.Signal;
import dev.runhv.vmm.process.Distribution;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.runtime.BundlePreparation;
import dev.runhv.vmm.runtime.BundleRequest;
import dev.runhv.vmm.testing.InstalledDistribution;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@Tag("native")
class InProcessVmIT {
    @TempDir
    Path folder;

    private InProcessVm.Core core;

    @BeforeEach
    void core() {
        Distribution distribution = new Distribution(InstalledDistribution.home());
        core = new InProcessVm.Core(
                distribution.jniLibrary(), distribution.kernel(), distribution.initrd(), distribution.scratch());
    }

    @Test
    void aContainerRunsInThisProcess() {
        try (InProcessVm vm = create(bundle("exit", "sh", "-c", "exit 3"))) {
            vm.start();

            assertThat(vm.waitFor()).isEqualTo(new ExitStatus.Exited(3));
            assertThat(vm.timings().exitsToFirstInstruction().get("all")).isPositive();
        }
    }

    @Test
    void oneAtATime() {
        Path bundle = bundle("two", "sleep", "1000");
        try (InProcessVm vm = create(bundle)) {
            vm.start();
            assertThatThrownBy(() -> create(bundle))
                    .isInstanceOfSatisfying(
                            RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CONFLICT));
            vm.signal(Signal.KILL);
            assertThat(vm.waitFor()).isEqualTo(new ExitStatus.Signaled(9));
        }
    }

    @Test
    void useAfterCloseIsAnException() {
        InProcessVm vm = create(bundle("closed", "true"));
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
        assertThatThrownBy(() -> create(absent))
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.NOT_FOUND))
                .hasMessageContaining(absent.toString());
    }

    private InProcessVm create(Path bundle) {
        return InProcessVm.create(core, "in-process", bundle, "", InProcessVm.Streams.NULL);
    }

    private Path bundle(String name, String... command) {
        Path bundle = folder.resolve(name);
        BundleRequest request = new BundleRequest(
                name,
                "oci:" + InstalledDistribution.sources().resolve("build/images/busybox"),
                folder.resolve("store"),
                bundle,
                List.of(),
                "",
                "",
                null,
                List.of(command),
                "",
                0,
                0,
                0,
                null,
                false,
                "");
        BundlePreparation.prepare(request, RootfsProgress.NONE);
        return bundle;
    }
}
