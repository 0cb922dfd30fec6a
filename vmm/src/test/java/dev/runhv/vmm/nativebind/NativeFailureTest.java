package dev.runhv.vmm.nativebind;

import static org.assertj.core.api.Assertions.assertThat;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.HypervisorException;
import dev.runhv.api.OsError;
import dev.runhv.api.RunhvException;
import dev.runhv.api.StartTimings;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class NativeFailureTest {
    @ParameterizedTest
    @CsvSource({
        "1, INVALID_ARGUMENT",
        "2, NOT_FOUND",
        "3, CONFLICT",
        "4, CORRUPT_INPUT",
        "5, UNSUPPORTED",
        "6, ACCESS_DENIED",
        "7, OUT_OF_MEMORY",
        "8, NO_SPACE",
        "9, HYPERVISOR_ABSENT",
        "10, GUEST_FAILED",
        "11, TIMED_OUT",
        "12, CLOSED",
        "13, HOST_FAILED",
        "0, INTERNAL",
        "14, INTERNAL",
        "-1, INTERNAL"
    })
    void codesAreThoseOfTheCInterface(int code, ErrorCode expected) {
        assertThat(failure(code, 0, 0).code()).isEqualTo(expected);
    }

    @Test
    void anHresultIsShownAsEverybodyWritesIt() {
        RunhvException exception = failure(9, 3, 0xffff_ffff_8037_0102L);

        assertThat(exception)
                .isInstanceOf(HypervisorException.class)
                .hasMessage("Cannot create partition for wéb: Nö (0x80370102)");
        assertThat(exception.osError()).contains(new OsError(OsError.Domain.HRESULT, 0x80370102L));
    }

    @Test
    void endsAreUnpacked() {
        byte[] reason = Arrays.copyOf("start /x: no such file".getBytes(StandardCharsets.UTF_8), 1024);

        assertThat(InProcessVm.status(42, reason)).isEqualTo(new ExitStatus.Exited(42));
        assertThat(InProcessVm.status(1L << 32 | 9, reason)).isEqualTo(new ExitStatus.Signaled(9));
        assertThat(InProcessVm.status(2L << 32 | 127, reason))
                .isEqualTo(new ExitStatus.NotStarted(127, "start /x: no such file"));
    }

    @Test
    void statisticsAreUnpackedInTheirOrder() {
        long[] values = new long[RunhvNative.STATISTICS];
        for (int i = 0; i < values.length; i++) {
            values[i] = 100L + i;
        }
        values[3] = 0; // the second stage was not reached
        values[38] = -1;

        StartTimings timings = NativeStatistics.timings(values, new byte[] {'s', 'o', 'f', 't', 0, 'x'}, new byte[0]);

        assertThat(timings.engine()).isEqualTo("soft");
        assertThat(timings.stages()).hasSize(7);
        assertThat(timings.stages().getFirst())
                .isEqualTo(new StartTimings.Stage("spawn", Duration.ofNanos(1), Duration.ofNanos(102)));
        assertThat(timings.stages().getLast().name()).isEqualTo("exit");
        assertThat(timings.exitsToFirstInstruction())
                .containsEntry("io_port", 117L)
                .containsEntry("all", 126L);
        assertThat(timings.exitsTotal()).containsEntry("io_port", 127L).containsEntry("all", 136L);
        assertThat(timings.instructionsToFirstInstruction()).hasValue(137);
        assertThat(timings.instructionsTotal()).isEmpty();
        assertThat(timings.privateBytes()).isEqualTo(139);
        assertThat(timings.guestMemoryResidentBytes()).isEqualTo(140);
    }

    private static RunhvException failure(int code, int domain, long osCode) {
        return new NativeFailure(
                        code,
                        domain,
                        osCode,
                        "create partition for wéb".getBytes(StandardCharsets.UTF_8),
                        "Nö".getBytes(StandardCharsets.UTF_8))
                .toRunhvException();
    }
}
