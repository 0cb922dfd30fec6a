package dev.runhv.vmm.content;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.HostException;
import dev.runhv.api.OsError;
import dev.runhv.api.RunhvException;
import java.io.EOFException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLockInterruptionException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

class FailuresTest {
    private static final Path FULL = Path.of("/dev/full");

    @TempDir
    private Path folder;

    private interface Work {
        void run() throws IOException;
    }

    @Test
    void aFullDiskIsKnownByItsNumberHoweverItIsWrittenTo() {
        assumeThat(FULL).exists();
        for (Work work : List.<Work>of(
                () -> {
                    try (FileChannel channel = FileChannel.open(FULL, StandardOpenOption.WRITE)) {
                        channel.write(ByteBuffer.allocate(1));
                    }
                },
                () -> {
                    try (RandomAccessFile file = new RandomAccessFile(FULL.toFile(), "rw")) {
                        file.write(1);
                    }
                },
                () -> {
                    try (OutputStream out = Files.newOutputStream(FULL)) {
                        out.write(1);
                    }
                })) {
            IOException cause = catchThrowableOfType(IOException.class, work::run);

            RunhvException failure = Failures.of("write", cause);

            assertThat(failure).isInstanceOf(HostException.class).hasCause(cause);
            assertThat(failure.code()).isEqualTo(ErrorCode.NO_SPACE);
            assertThat(failure.osError()).contains(new OsError(OsError.Domain.ERRNO, 28));
            assertThat(Failures.of("write", new FileSystemException("/tmp", null, cause.getMessage()))
                            .detail())
                    .isEqualTo("No space left: /tmp");
        }
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "the JDK tells no number of Windows")
    void theSystemsOwnNumbersStay() throws IOException {
        IOException none = catchThrowableOfType(IOException.class, () -> Files.size(folder.resolve("none")));
        assertFailure(none, ErrorCode.NOT_FOUND, 2);
        Path file = Files.createFile(folder.resolve("file"));
        IOException below = catchThrowableOfType(IOException.class, () -> Files.createFile(file.resolve("below")));
        assertFailure(below, ErrorCode.HOST_FAILED, 20);
        assertFailure(new AccessDeniedException("/x"), ErrorCode.ACCESS_DENIED, 13);
        assertThat(Failures.of("read", new AccessDeniedException("/x"))).isInstanceOf(HostException.class);
    }

    @Test
    void whatIsWrongWithBytesHasNoNumber() {
        assertThat(Failures.of("read", new EOFException()).code()).isEqualTo(ErrorCode.CORRUPT_INPUT);
        assertThat(Failures.of("read", new CorruptInputException("bad")).osError())
                .isEmpty();
        assertThat(Failures.of("read", new IOException("some words")).code()).isEqualTo(ErrorCode.HOST_FAILED);
        assertThat(Failures.of("read", new IOException()).detail()).isEqualTo("IOException");
    }

    @Test
    void anInterruptIsNoFailure() throws InterruptedException {
        for (IOException cause : List.of(
                new ClosedByInterruptException(), new FileLockInterruptionException(), new InterruptedIOException())) {
            Thread.currentThread().interrupt();

            assertThatThrownBy(() -> Failures.throwIfInterrupted(cause))
                    .isInstanceOf(InterruptedException.class)
                    .hasCause(cause);
            assertThat(Thread.interrupted()).isFalse();
        }
        Failures.throwIfInterrupted(new IOException("another"));
    }

    private static void assertFailure(IOException cause, ErrorCode code, int errno) {
        RunhvException failure = Failures.of("do it", cause);
        assertThat(failure.code()).as(cause.toString()).isEqualTo(code);
        assertThat(failure.osError()).contains(new OsError(OsError.Domain.ERRNO, errno));
    }
}
