package dev.runhv.api;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import org.junit.jupiter.api.Test;

class ExitCountsTest {
    @Test
    void nothingIsCountedTwice() {
        ExitCounts counts = ExitCounts.of(Map.of(ExitReason.MMIO, 3L, ExitReason.HALT, 4L));

        assertThat(counts.of(ExitReason.MMIO)).isEqualTo(3);
        assertThat(counts.of(ExitReason.CPUID)).isZero();
        assertThat(counts.all()).isEqualTo(7);
        assertThat(counts)
                .isEqualTo(ExitCounts.of(Map.of(ExitReason.HALT, 4L, ExitReason.MMIO, 3L, ExitReason.MSR, 0L)))
                .isNotEqualTo(ExitCounts.of(Map.of()));
    }
}
