package dev.runhv.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.results.format.ResultFormatType;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;

/** Each benchmark runs once, in this JVM: whether it still does what it says, not how long it takes. */
class BenchmarksIT {
    @TempDir
    Path folder;

    @BeforeEach
    void distribution() {
        assumeTrue(
                !System.getProperty("runhv.home", "").isEmpty(),
                "Skipped: needs the native build; say -Drunhv.home=DIR (tools/dev test does)");
        System.setProperty(
                "runhv.images",
                Path.of(System.getProperty("basedir"), "../build/images").toString());
    }

    @Test
    void startsAreCounted() throws Exception {
        Path json = folder.resolve("result.json");
        for (RunResult result : run("ProcessStartBenchmark|InProcessStartBenchmark", json)) {
            assertThat(score(result, "guest.exits")).isBetween(50.0, 2_000.0);
            assertThat(score(result, "guest.instructions")).isBetween(5e6, 100e6);
            assertThat(score(result, "start.firstInstruction"))
                    .isPositive()
                    .isLessThan(result.getPrimaryResult().getScore());
        }
        assertThat(json)
                .content()
                .contains("InProcessStartBenchmark.startAndEnd", "ProcessStartBenchmark.startAndEnd")
                .contains("guest.exits", "guest.instructions", "gc.alloc.rate.norm");
    }

    @Test
    void endsImagesAndReadsRun() throws Exception {
        for (RunResult result :
                run("TeardownBenchmark|ErofsReadBenchmark|RunningContainerBenchmark", folder.resolve("result.json"))) {
            assertThat(result.getPrimaryResult().getScore()).isPositive();
        }
        for (RunResult result : run("ImageToErofsBenchmark", folder.resolve("images.json"))) {
            assertThat(score(result, "erofs.bytes")).isGreaterThan(1e6);
            assertThat(score(result, "erofs.rate")).isPositive();
            assertThat(score(result, "gc.alloc.rate.norm")).isPositive();
        }
    }

    private static Collection<RunResult> run(String benchmarks, Path json) throws RunnerException, IOException {
        ChainedOptionsBuilder options = new OptionsBuilder()
                .include(benchmarks)
                .forks(0)
                .warmupIterations(0)
                .measurementIterations(1)
                .measurementTime(TimeValue.milliseconds(50))
                .param("memory", "128")
                .param("cpus", "1")
                .param("image", "busybox")
                .shouldFailOnError(true)
                .resultFormat(ResultFormatType.JSON)
                .result(json.toString())
                .output(json.resolveSibling("jmh.log").toString());
        for (String profiler : Main.PROFILERS) {
            options.addProfiler(profiler);
        }
        Collection<RunResult> results = new Runner(options.build()).run();
        assertThat(results).isNotEmpty();
        assertThat(Files.size(json)).isPositive();
        return results;
    }

    private static double score(RunResult result, String metric) {
        return result.getSecondaryResults().get(metric).getScore();
    }
}
