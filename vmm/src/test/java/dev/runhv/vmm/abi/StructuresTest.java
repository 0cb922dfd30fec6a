package dev.runhv.vmm.abi;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.ContainerState;
import dev.runhv.api.Engine;
import dev.runhv.api.ErrorCode;
import dev.runhv.api.ExitReason;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.HypervisorException;
import dev.runhv.api.OsError;
import dev.runhv.api.RunhvException;
import dev.runhv.api.Signal;
import dev.runhv.api.StartStage;
import dev.runhv.api.StartTimings;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The offsets are those that the C compiler gives for x86-64. */
class StructuresTest {
    private static final int ERROR_BYTES = 792;
    private static final int EVENT_BYTES = 848;
    private static final int STATE_BYTES = 208;
    private static final int STATISTICS_BYTES = 488;

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
        assertThat(VmError.errorCode(code)).isEqualTo(expected);
    }

    @Test
    void anHresultIsShownAsEverybodyWritesIt() throws Exception {
        RunhvException exception = VmError.read(error(9, 3, 0xffff_ffff_8037_0102L, "create partition for wéb", "Nö"))
                .toException();

        assertThat(exception)
                .isInstanceOf(HypervisorException.class)
                .hasMessage("Cannot create partition for wéb: Nö (0x80370102)");
        assertThat(exception.osError()).contains(new OsError(OsError.Domain.HRESULT, 0x80370102L));
    }

    @Test
    void aTextWithoutItsEndIsWhatThereIs() throws Exception {
        VmError error = VmError.read(error(1, 0, 0, "x".repeat(256), "y".repeat(512)));

        assertThat(error.operation()).isEqualTo("x".repeat(256));
        assertThat(error.detail()).isEqualTo("y".repeat(512));
    }

    @Test
    void anEventHasItsEndAndItsError() throws Exception {
        ByteBuffer bytes = sized(EVENT_BYTES);
        bytes.putInt(4, 9).putInt(8, 7).putInt(12, 10).putLong(16, 1).putInt(24, 5);
        bytes.putInt(32, 20).putInt(36, 2).putInt(40, 127).putInt(44, 127).putInt(48, 3);
        bytes.put(56, error(2, 1, 2, "run /x", "no such file").array());

        VmEvent event = VmEvent.read(bytes);

        assertThat(bytes.hasRemaining()).isFalse();
        assertThat(event.kind()).isEqualTo(VmEvent.Kind.ENDED);
        assertThat(event.process()).isEqualTo(7);
        assertThat(event.code()).isEqualTo(10);
        assertThat(event.oomKills()).isEqualTo(5);
        assertThat(event.end()).isEqualTo(new VmEnd(2, 127, 3));
        assertThat(event.error()).isEqualTo(new VmError(2, 1, 2, "run /x", "no such file"));
        assertThat(event.end().status(event.error())).isEqualTo(new ExitStatus.NotStarted(127, "run /x: no such file"));
    }

    @Test
    void endsAreExact() {
        VmError none = new VmError(0, 0, 0, "", "");
        assertThat(new VmEnd(0, 130, 0).status(none)).isEqualTo(new ExitStatus.Exited(130));
        assertThat(new VmEnd(1, 2, 0).status(none)).isEqualTo(new ExitStatus.Signaled(Signal.INT));
        assertThatThrownBy(() -> new VmEnd(3, 0, 0).status(none)).hasMessageContaining("Unknown end 3");
    }

    @Test
    void kindsOfANewerVersionArePassedOver() throws Exception {
        assertThat(VmEvent.read(sized(EVENT_BYTES).putInt(4, 10)).kind()).isEqualTo(VmEvent.Kind.UNKNOWN);
        assertThat(VmEvent.read(sized(EVENT_BYTES).putInt(4, -1)).kind()).isEqualTo(VmEvent.Kind.UNKNOWN);
        assertThat(VmEvent.read(sized(EVENT_BYTES).putInt(4, 1)).kind()).isEqualTo(VmEvent.Kind.CREATED);
    }

    @Test
    void aShorterStructureLacksTheRestAndALongerOneIsPassedOver() throws Exception {
        ByteBuffer shorter = sized(12);
        shorter.putInt(4, 2);
        assertThat(VmEvent.read(shorter).end()).isEqualTo(new VmEnd(0, 0, 0));

        ByteBuffer longer = ByteBuffer.allocate(EVENT_BYTES + 16).order(ByteOrder.LITTLE_ENDIAN);
        longer.putInt(0, EVENT_BYTES + 8).putInt(4, 2);
        assertThat(VmEvent.read(longer).kind()).isEqualTo(VmEvent.Kind.STARTED);
        assertThat(longer.remaining()).isEqualTo(8);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 3, 17, -1, Integer.MAX_VALUE, Integer.MIN_VALUE})
    void aSizeThatIsNoneIsRefused(int size) {
        ByteBuffer bytes =
                ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN).putInt(0, size);

        assertThatThrownBy(() -> VmEvent.read(bytes)).isInstanceOf(MalformedException.class);
        assertThatThrownBy(() -> VmEvent.read(ByteBuffer.allocate(3))).isInstanceOf(MalformedException.class);
    }

    @Test
    void aStateIsRead() throws Exception {
        ByteBuffer bytes = sized(STATE_BYTES);
        bytes.putInt(4, 3).putLong(144, 42).putLong(152, 1_000_000_001L).putLong(160, 2_000_000_000L);
        bytes.putInt(176, 5);

        VmState state = VmState.read(bytes);

        assertThat(state.status()).isEqualTo(ContainerState.Status.PAUSED);
        assertThat(state.createdAt()).isEqualTo(Instant.ofEpochSecond(1, 1));
        assertThat(state.startedAt()).contains(Instant.ofEpochSecond(2));
        assertThat(state.endedAt()).isEmpty();
        assertThat(state.processes()).isEqualTo(5);
        assertThatThrownBy(() -> VmState.read(sized(STATE_BYTES).putInt(4, 5))).isInstanceOf(MalformedException.class);
    }

    @Test
    void statisticsAreReadInTheirOrder() throws Exception {
        ByteBuffer bytes = sized(STATISTICS_BYTES);
        bytes.putInt(4, 2).put(8, new byte[] {'s', 'o', 'f', 't'}).put(24, new byte[] {'6', '.', '1'});
        for (int offset = 152; offset < STATISTICS_BYTES; offset += 8) {
            bytes.putLong(offset, offset);
        }
        bytes.putLong(160 + 16, 0); // the second stage was not reached
        bytes.putLong(448, -1);

        VmStatistics statistics = VmStatistics.read(bytes);

        StartTimings timings = statistics.timings();
        assertThat(timings.engine()).isEqualTo(Engine.SOFT);
        assertThat(timings.kernel()).isEqualTo("6.1");
        assertThat(timings.stages()).hasSize(7);
        assertThat(timings.stage(StartStage.SPAWN))
                .contains(new StartTimings.Span(StartStage.SPAWN, Duration.ofNanos(8), Duration.ofNanos(168)));
        assertThat(timings.stage(StartStage.PARTITION)).isEmpty();
        assertThat(timings.stages().getLast().stage()).isEqualTo(StartStage.EXIT);
        assertThat(timings.exitsToFirstInstruction().of(ExitReason.IO_PORT)).isEqualTo(288);
        assertThat(timings.exitsToFirstInstruction().of(ExitReason.OTHER)).isEqualTo(288 + 64);
        assertThat(timings.instructionsToFirstInstruction()).isEmpty();
        assertThat(timings.timeToFirstInstruction()).contains(Duration.ofNanos(80));
        assertThat(statistics.exits().of(ExitReason.MMIO)).isEqualTo(368 + 8);
        assertThat(statistics.instructions()).hasValue(456);
        assertThat(statistics.privateBytes()).isEqualTo(464);
        assertThat(statistics.guestMemoryResidentBytes()).isEqualTo(472);
        assertThat(statistics.memoryBytes()).isEqualTo(480);
        assertThat(statistics.cpus()).isEqualTo(2);
    }

    @Test
    void whatWasDoneBeforeTheMicroVmStandsInFront() throws Exception {
        ByteBuffer bytes = sized(STATISTICS_BYTES);
        bytes.put(8, new byte[] {'k', 'v', 'm'})
                .putLong(152, 100)
                .putLong(160, 100)
                .putLong(168, 7);
        Map<StartStage, Duration> before = new LinkedHashMap<>();
        before.put(StartStage.IMAGE, Duration.ofNanos(30));
        before.put(StartStage.BUNDLE, Duration.ofNanos(5));

        assertThat(VmStatistics.read(bytes).timings().after(before).stages())
                .containsExactly(
                        new StartTimings.Span(StartStage.IMAGE, Duration.ZERO, Duration.ofNanos(30)),
                        new StartTimings.Span(StartStage.BUNDLE, Duration.ofNanos(30), Duration.ofNanos(5)),
                        new StartTimings.Span(StartStage.SPAWN, Duration.ofNanos(35), Duration.ofNanos(7)));
    }

    @Test
    void anEngineThatThereIsNotIsRefused() {
        assertThatThrownBy(() -> VmStatistics.read(sized(STATISTICS_BYTES).put(8, new byte[] {'x'})))
                .isInstanceOf(MalformedException.class);
    }

    private static ByteBuffer error(int code, int domain, long osCode, String operation, String detail) {
        ByteBuffer bytes = sized(ERROR_BYTES);
        bytes.putInt(4, code).putInt(8, domain).putLong(16, osCode);
        bytes.put(24, operation.getBytes(StandardCharsets.UTF_8));
        bytes.put(280, detail.getBytes(StandardCharsets.UTF_8));
        return bytes;
    }

    private static ByteBuffer sized(int size) {
        return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN).putInt(0, size);
    }
}
