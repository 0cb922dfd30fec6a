package dev.runhv.vmm.process;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.ExitStatus;
import dev.runhv.api.GuestException;
import dev.runhv.api.StartTimings;
import dev.runhv.api.StartTimings.Stage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class VmmProcessTest {
    private static final String LINE = """
            {"version":1,"id":"web","engine":"soft","kernel":"6.12.117-runhv-minimal","cpus":1,"memory_bytes":134217728,\
            "stages":[{"name":"spawn","start_us":0,"duration_us":2100},\
            {"name":"first_instruction","start_us":2100,"duration_us":900,"later":[1,{}]}],\
            "exits_to_first_instruction":{"io_port":9,"all":213},"exits_total":{"io_port":10,"all":300},\
            "instructions_to_first_instruction":15400000,"instructions_total":null,\
            "private_bytes":70000000,"guest_memory_resident_bytes":30000000,"exit_status":0,"new":{"a":[]}}
            """;

    @TempDir
    Path folder;

    @Test
    void theLineOfTimingsIsRead() throws IOException {
        StartTimings timings = timings(LINE).orElseThrow();

        assertThat(timings.engine()).isEqualTo("soft");
        assertThat(timings.kernel()).isEqualTo("6.12.117-runhv-minimal");
        assertThat(timings.stages())
                .containsExactly(
                        new Stage("spawn", Duration.ZERO, Duration.ofNanos(2_100_000)),
                        new Stage("first_instruction", Duration.ofNanos(2_100_000), Duration.ofNanos(900_000)));
        assertThat(timings.exitsToFirstInstruction()).containsEntry("all", 213L);
        assertThat(timings.exitsTotal()).containsEntry("io_port", 10L);
        assertThat(timings.instructionsToFirstInstruction()).hasValue(15_400_000);
        assertThat(timings.instructionsTotal()).isEmpty();
        assertThat(timings.privateBytes()).isEqualTo(70_000_000);
    }

    @Test
    void aLineThatWasCutOffIsNone() throws IOException {
        assertThat(timings(LINE.substring(0, 200))).isEmpty();
        assertThat(timings("")).isEmpty();
        assertThat(TimingsReader.read(folder.resolve("absent"))).isEmpty();
    }

    @Test
    void theEndIsExact() throws IOException {
        assertThat(end(130, "{\"kind\":\"exited\",\"value\":130}")).isEqualTo(new ExitStatus.Exited(130));
        assertThat(end(130, "{\"kind\":\"signaled\",\"value\":2,\"later\":{}}")).isEqualTo(new ExitStatus.Signaled(2));
        assertThat(end(
                        127,
                        "{\"kind\":\"not_started\",\"value\":127,\"code\":\"not_found\",\"operation\":\"run /x\","
                                + "\"reason\":\"no such file\"}"))
                .isEqualTo(new ExitStatus.NotStarted(127, "run /x: no such file"));
        assertThat(end(127, "{\"kind\":\"exited\",\"value\":127}")).isEqualTo(new ExitStatus.Exited(127));
    }

    @Test
    void aMicroVmThatFailedIsAnException() throws IOException {
        VmmProcess.Outcome outcome = outcome(
                125,
                "{\"kind\":\"failed\",\"value\":125,\"code\":\"guest_failed\",\"operation\":\"run container web\","
                        + "\"reason\":\"the kernel panicked\"}");

        assertThatThrownBy(outcome::statusOrThrow)
                .isInstanceOf(GuestException.class)
                .hasMessage("Cannot run container web: the kernel panicked");
        assertThat(outcome.timings()).isPresent();
    }

    @Test
    void aProcessThatToldNothingWasKilledOrNeverRan() {
        assertThat(VmmProcess.outcome(137, Optional.empty()).statusOrThrow()).isEqualTo(new ExitStatus.Signaled(9));
        assertThat(VmmProcess.outcome(125, Optional.empty()).statusOrThrow())
                .isEqualTo(new ExitStatus.NotStarted(125, ""));
    }

    private ExitStatus end(int code, String end) throws IOException {
        return outcome(code, end).statusOrThrow();
    }

    private VmmProcess.Outcome outcome(int code, String end) throws IOException {
        return VmmProcess.outcome(code, line(LINE.replace("\"new\":", "\"end\":" + end + ",\"new\":")));
    }

    private Optional<StartTimings> timings(String text) throws IOException {
        return line(text).map(TimingsReader.Line::timings);
    }

    private Optional<TimingsReader.Line> line(String text) throws IOException {
        Path file = folder.resolve("timings.json");
        Files.writeString(file, text);
        return TimingsReader.read(file);
    }
}
