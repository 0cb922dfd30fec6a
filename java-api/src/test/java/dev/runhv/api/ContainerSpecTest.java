package dev.runhv.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatNullPointerException;

import org.junit.jupiter.api.Test;

class ContainerSpecTest {
    @Test
    void nothingSaidIsAsTheImageSays() {
        ContainerSpec spec = ContainerSpec.image("oci:web").build();

        assertThat(spec.entrypoint()).isNull();
        assertThat(spec.command()).isEmpty();
        assertThat(spec.memoryBytes()).isZero();
        assertThat(spec.engine()).isEqualTo(Engine.AUTO);
        assertThat(spec.stdin()).isFalse();
    }

    @Test
    void anEmptyEntryPointIsNotTheImagesOwn() {
        assertThat(ContainerSpec.image("oci:web").entrypoint().build().entrypoint())
                .isEmpty();
    }

    @Test
    void theEnvironmentKeepsItsOrderAndCannotBeChanged() {
        ContainerSpec.Builder builder =
                ContainerSpec.image("oci:web").environment("Z", "1").environment("A", "2");
        ContainerSpec spec = builder.build();
        builder.environment("B", "3");

        assertThat(spec.environment().keySet()).containsExactly("Z", "A");
        assertThat(spec.environment()).isUnmodifiable();
    }

    @Test
    void memoryInMebibytesDoesNotOverflow() {
        assertThat(ContainerSpec.image("oci:web").memoryMebibytes(4096).build().memoryBytes())
                .isEqualTo(4L << 30);
    }

    @Test
    void anImageIsNeeded() {
        assertThatNullPointerException().isThrownBy(() -> ContainerSpec.image(null));
    }

    @Test
    void statusesShowWhatAShellShows() {
        assertThat(new ExitStatus.Signaled(9).code()).isEqualTo(137);
        assertThat(new ExitStatus.Exited(0).isSuccess()).isTrue();
        assertThat(new ExitStatus.Exited(1).isSuccess()).isFalse();
        assertThat(new ExitStatus.NotStarted(127, "").isSuccess()).isFalse();
    }
}
