package dev.runhv.vmm.inprocess;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.ClosedException;
import dev.runhv.api.ContainerStatistics;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.Signal;
import dev.runhv.api.StartStage;
import dev.runhv.api.StartTimings;
import dev.runhv.vmm.testing.Kernel;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.Pipe;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@Tag("native")
class MemoryViewsIT {
    private static final int MEBIBYTE = 1 << 20;

    @TempDir
    Path folder;

    private Bundles bundles;

    @BeforeEach
    void bundles() {
        bundles = new Bundles(folder);
    }

    @Test
    void theCountersGrowWhileItRunsAndEndAsTheStatistics() throws Exception {
        try (InProcessVm vm = bundles.create("sh", "-c", "while :; do :; done")) {
            LiveStatistics live = vm.statistics();
            assertThat(live.exits().all()).isZero();
            assertThat(live.exitsToFirstInstruction().all()).isZero();
            assertThat(live.instructionsToFirstInstruction()).isEmpty();
            assertThat(live.stageStart(StartStage.KERNEL)).isEmpty();
            assertThat(live.guestMemoryResidentBytes()).isZero();

            vm.start();
            await(() -> live.stageStart(StartStage.AGENT).isPresent());
            long exits = live.exits().all();
            long instructions = live.instructions().orElseThrow();
            assertThat(exits).isPositive();
            assertThat(instructions).isGreaterThan(1_000_000);
            await(() -> live.stageStart(StartStage.FIRST_INSTRUCTION).isPresent());
            assertThat(live.exits().all()).isGreaterThan(exits);
            assertThat(live.instructions().orElseThrow()).isGreaterThan(instructions);

            vm.signal(Signal.KILL);
            assertThat(vm.waitFor()).isEqualTo(new ExitStatus.Signaled(Signal.KILL));
            ContainerStatistics counted = vm.counted();
            StartTimings timings = vm.timings();
            assertThat(live.exits()).isEqualTo(counted.exits());
            assertThat(live.exitsToFirstInstruction()).isEqualTo(timings.exitsToFirstInstruction());
            assertThat(live.instructions()).isEqualTo(counted.instructions());
            assertThat(live.instructionsToFirstInstruction()).isEqualTo(timings.instructionsToFirstInstruction());
            assertThat(live.guestMemoryResidentBytes())
                    .isEqualTo(counted.guestMemoryResidentBytes())
                    .isPositive();
            for (StartTimings.Span span : timings.stages()) {
                assertThat(live.stageStart(span.stage())).hasValue(span.start());
            }
        }
    }

    @Test
    void theCountsOfAllProcessorsAreThere() throws Exception {
        try (InProcessVm vm = bundles.create(0, 2, "true")) {
            LiveStatistics live = vm.statistics();
            vm.start();
            vm.waitFor();

            assertThat(live.exits()).isEqualTo(vm.counted().exits());
            assertThat(live.instructions()).isEqualTo(vm.counted().instructions());
        }
    }

    @Test
    void guestMemoryShowsTheKernelAndIsReadOnly() throws Exception {
        Kernel kernel = Kernel.read(bundles.core().kernel());
        try (InProcessVm vm = bundles.create("true")) {
            List<GuestMemory> memory = vm.guestMemory();
            assertThat(memory).hasSize(1);
            MemorySegment bytes = memory.getFirst().bytes();

            assertThat(memory.getFirst().address()).isZero();
            assertThat(bytes.byteSize()).isEqualTo(128L * MEBIBYTE);
            assertThat(textAt(bytes, kernel)).isEqualTo(kernel.banner());
            vm.start();
            vm.waitFor();
            assertThat(textAt(bytes, kernel)).isEqualTo(kernel.banner());

            MemorySegment page = vm.statistics().page();
            for (MemorySegment view : List.of(bytes, page)) {
                assertThat(view.isReadOnly()).isTrue();
                assertThatThrownBy(() -> view.set(ValueLayout.JAVA_BYTE, 0, (byte) 1))
                        .isInstanceOf(IllegalArgumentException.class);
                assertThat(view.asByteBuffer().isReadOnly()).isTrue();
            }
        }
    }

    @Test
    void memoryBeyondTheDevicesIsASecondPiece() {
        try (InProcessVm vm = bundles.create(3584L * MEBIBYTE, 1, "true")) {
            assertThat(vm.guestMemory()).extracting(GuestMemory::address).containsExactly(0L, 1L << 32);
            assertThat(vm.guestMemory())
                    .extracting(memory -> memory.bytes().byteSize())
                    .containsExactly(3072L * MEBIBYTE, 512L * MEBIBYTE);
        }
    }

    @Test
    void afterTheCloseEveryAccessIsAnException() {
        InProcessVm vm = bundles.create("true");
        LiveStatistics live = vm.statistics();
        MemorySegment bytes = vm.guestMemory().getFirst().bytes();
        MemorySegment part = bytes.asSlice(MEBIBYTE, 16);
        ByteBuffer buffer = part.asByteBuffer();
        vm.close();

        assertThatIllegalStateException().isThrownBy(live::exits);
        assertThatIllegalStateException().isThrownBy(live::exitsToFirstInstruction);
        assertThatIllegalStateException().isThrownBy(live::instructions);
        assertThatIllegalStateException().isThrownBy(live::instructionsToFirstInstruction);
        assertThatIllegalStateException().isThrownBy(() -> live.stageStart(StartStage.SPAWN));
        assertThatIllegalStateException().isThrownBy(live::guestMemoryResidentBytes);
        assertThatIllegalStateException().isThrownBy(() -> live.page().get(ValueLayout.JAVA_INT, 0));
        assertThatIllegalStateException().isThrownBy(() -> bytes.get(ValueLayout.JAVA_BYTE, 0));
        assertThatIllegalStateException().isThrownBy(() -> part.toArray(ValueLayout.JAVA_BYTE));
        assertThatIllegalStateException().isThrownBy(buffer::get);
        assertThatThrownBy(vm::statistics).isInstanceOf(ClosedException.class);
        assertThatThrownBy(vm::guestMemory).isInstanceOf(ClosedException.class);
    }

    @Test
    void aCloseThatRacesWithReadersIsAnExceptionForThemAndNoCrash() throws Exception {
        int rounds = 40;
        int readers = 3;
        Path bundle = bundles.bundle(0, 0, "sleep", "1000");
        try (ExecutorService threads = Executors.newFixedThreadPool(readers)) {
            for (int round = 0; round < rounds; round++) {
                InProcessVm vm = bundles.createOf(bundle);
                boolean running = round % 10 == 0;
                if (running) {
                    vm.start();
                }
                CountDownLatch reading = new CountDownLatch(readers);
                List<Future<String>> ends = List.of(
                        threads.submit(() -> readUntilClosed(reading, vm.statistics()::exits)),
                        threads.submit(() -> {
                            MemorySegment bytes = vm.guestMemory().getFirst().bytes();
                            MemorySegment text = bytes.asSlice(16L * MEBIBYTE, MEBIBYTE);
                            return readUntilClosed(reading, () -> text.mismatch(bytes));
                        }),
                        // Asks for views all the time: the address may be learned before the close, and the view made
                        // after.
                        threads.submit(() -> readUntilClosed(
                                reading,
                                () -> vm.guestMemory().getFirst().bytes().get(ValueLayout.JAVA_LONG, 0))));
                reading.await();

                vm.close();

                assertThat(ends.get(0).get()).isEqualTo("IllegalStateException");
                assertThat(ends.get(1).get()).isEqualTo("IllegalStateException");
                assertThat(ends.get(2).get()).isIn("IllegalStateException", "ClosedException");
            }
        }
    }

    private static String readUntilClosed(CountDownLatch reading, Callable<?> read) throws Exception {
        read.call();
        reading.countDown();
        while (true) {
            try {
                read.call();
            } catch (IllegalStateException | ClosedException e) {
                return e.getClass().getSimpleName();
            }
        }
    }

    @Test
    void closingWaitsForAWriteThatHasTheMemoryInItsHands() throws Exception {
        int size = 4 * MEBIBYTE; // no pipe holds as much
        Pipe pipe = Pipe.open();
        InProcessVm vm = bundles.create("true");
        MemorySegment part = vm.guestMemory().getFirst().bytes().asSlice(16L * MEBIBYTE, size);
        byte[] expected = part.toArray(ValueLayout.JAVA_BYTE);
        try (ExecutorService threads = Executors.newFixedThreadPool(2)) {
            Future<Integer> write = threads.submit(() -> pipe.sink().write(part.asByteBuffer()));
            ByteBuffer read = ByteBuffer.allocate(size);
            while (read.position() < 1) {
                pipe.source().read(read.limit(1));
            }
            Future<?> close = threads.submit(vm::close);
            read.limit(size);
            while (read.hasRemaining()) {
                pipe.source().read(read);
            }

            assertThat(write.get()).isEqualTo(size);
            close.get();
            assertThat(read.array()).isEqualTo(expected);
            assertThatIllegalStateException().isThrownBy(() -> part.get(ValueLayout.JAVA_BYTE, 0));
        }
    }

    private static String textAt(MemorySegment bytes, Kernel kernel) {
        byte[] text = bytes.asSlice(kernel.address(), kernel.banner().length()).toArray(ValueLayout.JAVA_BYTE);
        return new String(text, StandardCharsets.ISO_8859_1);
    }

    private static void await(Callable<Boolean> reached) throws Exception {
        while (!reached.call()) {
            Thread.onSpinWait();
        }
    }
}
