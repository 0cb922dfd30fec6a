package dev.runhv.vmm.process;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.Output;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.FileDescriptor;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.Pipe;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class OutputDrainTest {
    private static OutputDrain drain(Output wish, InputStream source) throws IOException {
        return new OutputDrain(wish, source, FileDescriptor.out, Thread.ofVirtual());
    }

    private static InputStream bytes(int count) {
        byte[] bytes = new byte[count];
        for (int i = 0; i < count; i++) {
            bytes[i] = (byte) (i * 7 + i / 251);
        }
        return new ByteArrayInputStream(bytes);
    }

    @Test
    void whatIsKeptCanBeReadAfterwards() throws Exception {
        OutputDrain drain = drain(Output.keep(), bytes(100_000));
        drain.done().join();

        assertThat(drain.stream().readAllBytes()).isEqualTo(bytes(100_000).readAllBytes());
        assertThat(drain.stream().read()).isEqualTo(-1);
    }

    @Test
    void ofTooMuchTheNewestIsKeptAndTheReaderIsTold() throws Exception {
        OutputDrain drain = drain(Output.keep(10_000), bytes(100_001));
        drain.done().join();

        assertThat(drain.tail(4).getBytes(StandardCharsets.UTF_8)).isNotEmpty();
        InputStream stream = drain.stream();
        assertThatThrownBy(stream::read).isInstanceOf(IOException.class).hasMessageContaining("90001 bytes are lost");
        byte[] all = bytes(100_001).readAllBytes();
        assertThat(stream.readAllBytes()).isEqualTo(java.util.Arrays.copyOfRange(all, 90_001, 100_001));
    }

    @Test
    void fromTheMomentInWhichTheStreamIsAskedForNothingIsLost() throws Exception {
        Pipe pipe = Pipe.open();
        OutputDrain drain = drain(Output.keep(1000), Channels.newInputStream(pipe.source()));
        InputStream stream = drain.stream();
        CompletableFuture<Void> writer = CompletableFuture.runAsync(() -> {
            try (OutputStream out = Channels.newOutputStream(pipe.sink())) {
                bytes(500_000).transferTo(out);
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        });

        assertThat(stream.readAllBytes()).isEqualTo(bytes(500_000).readAllBytes());
        writer.join();
        drain.done().join();
    }

    @Test
    void whoIsReleasedWaitsForNoReader() throws Exception {
        OutputDrain drain = drain(Output.keep(1000), bytes(50_000));
        InputStream stream = drain.stream();
        drain.release();
        drain.done().join();

        assertThatThrownBy(stream::readAllBytes).hasMessageContaining("bytes are lost");
        assertThat(stream.readAllBytes()).hasSize(1000);
    }

    @Test
    void aReaderThatGoesAwayStopsNobody() throws Exception {
        OutputDrain drain = drain(Output.keep(1000), bytes(50_000));
        drain.stream().close();

        drain.done().join();
    }

    @Test
    void anInterruptedReaderIsToldAndTheStreamStays() throws Exception {
        Pipe pipe = Pipe.open();
        OutputDrain drain = drain(Output.keep(), Channels.newInputStream(pipe.source()));
        InputStream stream = drain.stream();
        CompletableFuture<Throwable> thrown = new CompletableFuture<>();
        Thread reader = Thread.ofVirtual().start(() -> {
            try {
                stream.read();
            } catch (Throwable e) {
                thrown.complete(e);
            }
        });
        reader.interrupt();
        assertThat(thrown.join()).isInstanceOf(InterruptedIOException.class);

        pipe.sink().write(StandardCharsets.UTF_8.encode("x"));
        pipe.sink().close();
        assertThat(stream).hasContent("x");
    }

    @Test
    void aPipeIsTheStreamItself() throws Exception {
        InputStream source = bytes(10);
        assertThat(drain(Output.pipe(), source).stream()).isSameAs(source);
    }

    @Test
    void aStreamGetsEverythingAndStaysOpen() throws Exception {
        List<String> closed = new ArrayList<>();
        ByteArrayOutputStream sink = new ByteArrayOutputStream() {
            @Override
            public void close() {
                closed.add("closed");
            }
        };
        drain(Output.to(sink), bytes(100_000)).done().join();

        assertThat(sink.toByteArray()).isEqualTo(bytes(100_000).readAllBytes());
        assertThat(closed).isEmpty();
    }

    @Test
    void aSinkThatFailsStopsNobody() throws Exception {
        OutputStream full = new OutputStream() {
            @Override
            public void write(int b) throws IOException {
                throw new IOException("No space left on the device");
            }
        };
        InputStream source = bytes(100_000);
        drain(Output.to(full), source).done().join();
        assertThat(source.available()).isZero();

        InputStream other = bytes(100_000);
        drain(
                        Output.lines(line -> {
                            throw new IllegalStateException(line);
                        }),
                        other)
                .done()
                .join();
        assertThat(other.available()).isZero();
    }

    @Test
    void aLineWithoutAnEndComesInPieces() throws Exception {
        List<String> lines = new ArrayList<>();
        byte[] text = ("ä".repeat(100_000) + "\n\nrest").getBytes(StandardCharsets.UTF_8);
        drain(Output.lines(lines::add), new ByteArrayInputStream(text)).done().join();

        assertThat(String.join("", lines)).isEqualTo("ä".repeat(100_000) + "rest");
        assertThat(lines).hasSize(6).contains("");
        assertThat(lines.getFirst()).hasSize(32768);
    }

    @Test
    void bytesThatAreNoTextAreBoundedToo() throws Exception {
        List<String> lines = new ArrayList<>();
        byte[] text = new byte[1_000_000];
        java.util.Arrays.fill(text, (byte) 0x80);
        drain(Output.lines(lines::add), new ByteArrayInputStream(text)).done().join();

        assertThat(lines)
                .hasSizeGreaterThan(10)
                .allSatisfy(line -> assertThat(line).hasSizeLessThan(70_000));
    }
}
