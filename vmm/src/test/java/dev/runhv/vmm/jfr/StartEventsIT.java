package dev.runhv.vmm.jfr;

import static org.assertj.core.api.Assertions.assertThat;

import dev.runhv.api.Container;
import dev.runhv.api.ContainerSpec;
import dev.runhv.api.Runhv;
import dev.runhv.api.StartTimings;
import dev.runhv.vmm.nativebind.Bundles;
import dev.runhv.vmm.nativebind.InProcessVm;
import dev.runhv.vmm.testing.InstalledDistribution;
import java.nio.file.Path;
import java.time.Duration;
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
    private static final String[] STAGES = {
        "spawn", "partition", "memory", "kernel", "agent", "first_instruction", "first_output", "exit"
    };

    @TempDir
    Path folder;

    @Test
    void aMicroVmInAProcessOfItsOwnIsRecorded() throws Exception {
        System.setProperty("runhv.store", folder.resolve("store").toString());
        String image = "oci:" + InstalledDistribution.sources().resolve("build/images/busybox");
        assertThat(InstalledDistribution.home()).isDirectory();
        StartTimings timings;
        List<RecordedEvent> events;
        try (Recording recording = new Recording()) {
            recording.start();
            try (Runhv runhv = Runhv.open();
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
        assertThat(timings.stages()).extracting(StartTimings.Stage::name).containsExactly(STAGES);
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
            try (InProcessVm vm = bundles.create("true")) {
                vm.start();
            }
            bundles.create("true").close(); // never started
            events = stop(recording);
        }

        List<RecordedEvent> starts = of(START, events);
        assertThat(starts).hasSize(2);
        assertRecorded(events.subList(0, events.indexOf(starts.getFirst()) + 1), "in-process", true, timings);
        assertThat(timings.stages())
                .extracting(StartTimings.Stage::name)
                .containsExactly("spawn", "partition", "memory", "kernel", "agent", "first_instruction", "exit");
        assertContiguous(timings.stages());
        RecordedEvent second = starts.getLast();
        assertThat(second.getLong("timeToFirstInstruction")).isEqualTo(StartEvent.NO_SPAN);
        assertThat(second.getLong("instructionsToFirstInstruction")).isEqualTo(StartEvent.NOT_COUNTED);
    }

    @Test
    void aStreamSeesThemWhileItRuns() throws Exception {
        Bundles bundles = new Bundles(folder);
        BlockingQueue<RecordedEvent> seen = new LinkedBlockingQueue<>();
        try (RecordingStream stream = new RecordingStream()) {
            stream.setReuse(false);
            stream.onEvent(START, seen::add);
            stream.startAsync();
            try (InProcessVm vm = bundles.create("true")) {
                vm.start();
                vm.waitFor();

                RecordedEvent event = seen.take();
                assertThat(event.getLong("exits"))
                        .isEqualTo(vm.timings().exitsTotal().get("all"));
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
        events.sort((a, b) -> a.getStartTime().compareTo(b.getStartTime()));
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
            assertThat(event.getString("engine")).isEqualTo("soft");
            assertThat(event.getString("kernel")).isEqualTo(timings.kernel()).startsWith("6.");
            assertThat(event.getStackTrace()).isNull();
        });
        assertThat(of(STAGE, events))
                .extracting(event -> new StartTimings.Stage(
                        event.getString("stage"), event.getDuration("startOffset"), event.getDuration("stageDuration")))
                .isEqualTo(timings.stages());
        assertThat(of(START, events)).singleElement().satisfies(event -> {
            assertThat(event.getBoolean("inProcess")).isEqualTo(inProcess);
            assertThat(event.getDuration("timeToFirstInstruction")).isPositive();
            assertThat(event.getLong("exitsToFirstInstruction"))
                    .isEqualTo(timings.exitsToFirstInstruction().get("all"))
                    .isPositive();
            assertThat(event.getLong("exits"))
                    .isEqualTo(timings.exitsTotal().get("all"))
                    .isGreaterThan(event.getLong("exitsToFirstInstruction"));
            assertThat(event.getLong("instructionsToFirstInstruction"))
                    .isEqualTo(timings.instructionsToFirstInstruction().orElseThrow());
            assertThat(event.getLong("instructions"))
                    .isEqualTo(timings.instructionsTotal().orElseThrow());
            assertThat(event.getLong("privateMemory")).isPositive();
            assertThat(event.getLong("residentGuestMemory")).isPositive();
        });
    }

    /** No time of a start is in no stage; the line of a process rounds to microseconds. */
    private static void assertContiguous(List<StartTimings.Stage> stages) {
        assertThat(stages.getFirst().start()).isZero();
        for (int i = 1; i < stages.size(); i++) {
            StartTimings.Stage before = stages.get(i - 1);
            assertThat(stages.get(i).start().minus(before.start()).minus(before.duration()))
                    .isBetween(Duration.ofNanos(-2_000), Duration.ofNanos(2_000));
        }
    }
}
