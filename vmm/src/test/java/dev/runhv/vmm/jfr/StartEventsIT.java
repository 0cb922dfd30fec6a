package dev.runhv.vmm.jfr;

import static org.assertj.core.api.Assertions.assertThat;

import dev.runhv.api.Container;
import dev.runhv.api.ContainerSpec;
import dev.runhv.api.Runhv;
import dev.runhv.api.StartStage;
import dev.runhv.api.StartTimings;
import dev.runhv.vmm.inprocess.Bundles;
import dev.runhv.vmm.inprocess.InProcessVm;
import dev.runhv.vmm.testing.InstalledDistribution;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import jdk.jfr.consumer.RecordingStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A recording without any setting, read back. */
@Tag("native")
class StartEventsIT {
    private static final String STAGE = "dev.runhv.StartStage";
    private static final String START = "dev.runhv.Start";
    private static final String RUN = "dev.runhv.Run";

    @TempDir
    Path folder;

    @Test
    void aMicroVmInAProcessOfItsOwnIsRecorded() throws Exception {
        String image = "oci:" + InstalledDistribution.sources().resolve("build/images/busybox");
        StartTimings timings;
        List<RecordedEvent> events;
        try (Recording recording = new Recording()) {
            recording.start();
            try (Runhv runhv = Runhv.builder()
                            .home(InstalledDistribution.home())
                            .store(folder.resolve("store"))
                            .root(folder.resolve("root"))
                            .open();
                    Container container = runhv.start(ContainerSpec.image(image)
                            .name("recorded")
                            .command("echo", "hello")
                            .build())) {
                container.waitFor();
                timings = container.timings().orElseThrow();
            }
            events = stop(recording);
        }

        assertRecorded(events, "recorded", false, timings);
        assertThat(timings.stages()).extracting(StartTimings.Span::stage).containsExactly(StartStage.values());
        assertContiguous(timings.stages());
    }

    @Test
    void aMicroVmInThisProcessIsRecordedOnceWhetherItWasWaitedForOrNot() throws Exception {
        Bundles bundles = new Bundles(folder);
        StartTimings timings;
        List<RecordedEvent> events;
        try (Recording recording = new Recording()) {
            recording.start();
            try (InProcessVm vm = bundles.create("true")) {
                vm.start();
                vm.waitFor();
                vm.waitFor();
                timings = vm.timings();
            }
            try (InProcessVm vm = bundles.create("sleep", "1000")) {
                vm.start();
                vm.awaitStarted();
            }
            bundles.create("true").close(); // never started
            events = stop(recording);
        }

        List<RecordedEvent> starts = of(START, events);
        assertThat(starts).hasSize(2);
        assertThat(of(RUN, events))
                .extracting(event -> event.getInt("exitStatus"))
                .containsExactly(0, 137);
        assertThat(timings.stages())
                .extracting(StartTimings.Span::stage)
                .containsExactly(
                        StartStage.SPAWN,
                        StartStage.PARTITION,
                        StartStage.MEMORY,
                        StartStage.KERNEL,
                        StartStage.AGENT,
                        StartStage.FIRST_INSTRUCTION,
                        StartStage.EXIT);
        assertContiguous(timings.stages());
    }

    @Test
    void aStreamSeesThemWhileItRuns() throws Exception {
        Bundles bundles = new Bundles(folder);
        BlockingQueue<RecordedEvent> seen = new LinkedBlockingQueue<>();
        try (RecordingStream stream = new RecordingStream()) {
            stream.setReuse(false);
            stream.onEvent(START, seen::add);
            stream.startAsync();
            try (InProcessVm vm = bundles.create("sleep", "1000")) {
                vm.start();

                RecordedEvent event = seen.take();
                assertThat(event.getLong("exits"))
                        .isEqualTo(vm.timings().exitsToFirstInstruction().all());
            }
        }
    }

    @Test
    void withoutARecordingNothingIsWanted() {
        assertThat(StartEvents.areWanted()).isFalse();
    }

    private List<RecordedEvent> stop(Recording recording) throws Exception {
        recording.stop();
        Path file = folder.resolve("starts.jfr");
        recording.dump(file);
        List<RecordedEvent> events = new ArrayList<>(RecordingFile.readAllEvents(file));
        events.removeIf(event -> !event.getEventType().getName().startsWith("dev.runhv."));
        events.sort((a, b) -> a.getEndTime().compareTo(b.getEndTime()));
        return events;
    }

    private static List<RecordedEvent> of(String type, List<RecordedEvent> events) {
        return events.stream()
                .filter(event -> event.getEventType().getName().equals(type))
                .toList();
    }

    private static void assertRecorded(
            List<RecordedEvent> events, String container, boolean inProcess, StartTimings timings) {
        assertThat(events).allSatisfy(event -> {
            assertThat(event.getString("container")).isEqualTo(container);
            assertThat(event.getStackTrace()).isNull();
        });
        assertThat(of(STAGE, events))
                .extracting(event -> new StartTimings.Span(
                        StartStage.valueOf(event.getString("stage").toUpperCase(java.util.Locale.ROOT)),
                        event.getDuration("startOffset"),
                        event.getDuration("stageDuration")))
                .isEqualTo(timings.stages().stream()
                        .filter(span -> span.stage().compareTo(StartStage.FIRST_INSTRUCTION) < 0)
                        .toList());
        assertThat(of(START, events)).singleElement().satisfies(event -> {
            assertThat(event.getString("engine")).isEqualTo("soft");
            assertThat(event.getString("kernel")).isEqualTo(timings.kernel()).startsWith("6.");
            assertThat(event.getBoolean("inProcess")).isEqualTo(inProcess);
            assertThat(event.getDuration("timeToFirstInstruction"))
                    .isEqualTo(timings.timeToFirstInstruction().orElseThrow())
                    .isPositive()
                    .isLessThan(event.getDuration());
            assertThat(event.getLong("exits"))
                    .isEqualTo(timings.exitsToFirstInstruction().all())
                    .isPositive();
            assertThat(event.getLong("instructions"))
                    .isEqualTo(timings.instructionsToFirstInstruction().orElseThrow());
            assertThat(event.getLong("privateMemory")).isPositive();
            assertThat(event.getLong("residentGuestMemory")).isPositive();
        });
        assertThat(of(RUN, events)).singleElement().satisfies(event -> {
            assertThat(event.getInt("exitStatus")).isZero();
            assertThat(event.getLong("exits"))
                    .isGreaterThanOrEqualTo(timings.exitsToFirstInstruction().all());
        });
    }

    /** No time of a start is in no stage. */
    private static void assertContiguous(List<StartTimings.Span> stages) {
        assertThat(stages.getFirst().start()).isZero();
        for (int i = 1; i < stages.size(); i++) {
            StartTimings.Span before = stages.get(i - 1);
            assertThat(stages.get(i)
                            .start()
                            .minus(before.start())
                            .minus(before.duration())
                            .abs())
                    .isLessThan(java.time.Duration.ofMillis(50));
        }
    }
}
