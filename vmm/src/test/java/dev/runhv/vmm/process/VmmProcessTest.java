package dev.runhv.vmm.process;

import static org.assertj.core.api.Assertions.assertThat;

import dev.runhv.api.ExitStatus;
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
    void statusesOfRunhvAndOfTheContainerAreToldApart() throws IOException {
        Optional<StartTimings> ran = timings(LINE);
        Optional<StartTimings> never = Optional.empty();

        assertThat(VmmProcess.status(0, ran)).isEqualTo(new ExitStatus.Exited(0));
        assertThat(VmmProcess.status(127, ran)).isEqualTo(new ExitStatus.Exited(127));
        assertThat(VmmProcess.status(127, never)).isEqualTo(new ExitStatus.NotStarted(127, ""));
        assertThat(VmmProcess.status(125, never)).isEqualTo(new ExitStatus.NotStarted(125, ""));
        assertThat(VmmProcess.status(137, never)).isEqualTo(new ExitStatus.Signaled(9));
        assertThat(VmmProcess.status(143, ran)).isEqualTo(new ExitStatus.Signaled(15));
        assertThat(VmmProcess.status(128, ran)).isEqualTo(new ExitStatus.Exited(128));
        assertThat(VmmProcess.status(255, ran)).isEqualTo(new ExitStatus.Exited(255));
    }

    private Optional<StartTimings> timings(String text) throws IOException {
        Path file = folder.resolve("timings.json");
        Files.writeString(file, text);
        return TimingsReader.read(file);
    }
}
