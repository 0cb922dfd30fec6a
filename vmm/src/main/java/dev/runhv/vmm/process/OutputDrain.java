package dev.runhv.vmm.process;

import dev.runhv.api.Output;
import java.io.ByteArrayOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.System.Logger.Level;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/** Takes what a process writes from where it arrives to where it shall go. */
final class OutputDrain {
    private static final int BUFFER_BYTES = 16384;
    private static final int LINE_BYTES = 65536;

    /** Takes bytes; not for ever where it waits for somebody. */
    private interface Sink {
        void write(byte[] bytes, int length) throws IOException, InterruptedException;

        default void end() throws IOException {}
    }

    private final InputStream stream;
    private final KeptOutput kept; // null where nothing is
    private final Thread thread; // null where nobody drains
    private final CompletableFuture<Void> done = new CompletableFuture<>();

    /**
     * @param source read by a thread of its own, or by whoever asks for the stream
     * @param inherited where {@link Output#inherit()} goes
     * @param threads of the kind that may block in a read of the source
     */
    OutputDrain(Output wish, InputStream source, FileDescriptor inherited, Thread.Builder threads) throws IOException {
        kept = wish instanceof Output.Keep(int bytes) ? new KeptOutput(bytes) : null;
        if (wish instanceof Output.Pipe) {
            stream = source;
            thread = null;
            done.complete(null);
            return;
        }
        stream = kept == null ? InputStream.nullInputStream() : null;
        Sink sink = sink(wish, inherited, kept);
        thread = threads.start(() -> drain(source, sink));
    }

    /** Of a stream that goes elsewhere without us. */
    private OutputDrain() {
        stream = InputStream.nullInputStream();
        kept = null;
        thread = null;
        done.complete(null);
    }

    static OutputDrain none() {
        return new OutputDrain();
    }

    /** For whom wants to read. */
    InputStream stream() {
        return kept == null ? stream : kept.stream();
    }

    /** Is complete when everything has arrived. */
    CompletableFuture<Void> done() {
        return done;
    }

    /** Nobody waits for a reader any more; what has arrived stays. */
    void release() {
        if (kept != null) {
            kept.abandon();
        }
    }

    /** Nobody waits for a sink any more. */
    void abandon() {
        if (thread != null && !done.isDone() && thread != Thread.currentThread()) {
            thread.interrupt();
            done.complete(null);
        }
    }

    /** The newest that is kept; empty where nothing is. */
    String tail(int bytes) {
        return kept == null ? "" : kept.tail(bytes);
    }

    private void drain(InputStream source, Sink sink) {
        Sink target = sink;
        byte[] buffer = new byte[BUFFER_BYTES];
        try (source) {
            for (int count = source.read(buffer); count >= 0; count = source.read(buffer)) {
                target = write(target, buffer, count);
            }
        } catch (IOException e) {
            // The process is gone, and its end of the stream with it.
            System.getLogger(OutputDrain.class.getName()).log(Level.DEBUG, "A stream of a container broke", e);
        } finally {
            write(target, null, 0);
            done.complete(null);
        }
    }

    // What fails once gets nothing more, and the process goes on.
    private static Sink write(Sink sink, byte[] buffer, int count) {
        try {
            if (buffer == null) {
                sink.end();
            } else {
                sink.write(buffer, count);
            }
            return sink;
        } catch (IOException | InterruptedException | RuntimeException e) {
            System.getLogger(OutputDrain.class.getName())
                    .log(Level.WARNING, "A sink of a container's output failed; the rest is thrown away", e);
            return (bytes, length) -> {};
        }
    }

    private static Sink sink(Output wish, FileDescriptor inherited, KeptOutput kept) throws IOException {
        return switch (wish) {
            case Output.Keep keep -> new KeptSink(kept);
            case Output.Pipe pipe -> throw new IllegalArgumentException();
            case Output.To(OutputStream out) -> new StreamSink(out, false);
            case Output.Lines(Consumer<? super String> lines) -> new LineSink(lines);
            case Output.ToFile file ->
                new StreamSink(
                        Files.newOutputStream(
                                file.file(),
                                StandardOpenOption.CREATE,
                                StandardOpenOption.WRITE,
                                file.append() ? StandardOpenOption.APPEND : StandardOpenOption.TRUNCATE_EXISTING),
                        true);
            case Output.Discard discard -> (bytes, length) -> {};
            case Output.Inherit inherit -> new StreamSink(new FileOutputStream(inherited), false);
        };
    }

    private record KeptSink(KeptOutput kept) implements Sink {
        @Override
        public void write(byte[] bytes, int length) throws InterruptedException {
            kept.write(bytes, length);
        }

        @Override
        public void end() {
            kept.end();
        }
    }

    private record StreamSink(OutputStream out, boolean closes) implements Sink {
        @Override
        public void write(byte[] bytes, int length) throws IOException {
            out.write(bytes, 0, length);
            out.flush();
        }

        @Override
        public void end() throws IOException {
            if (closes) {
                out.close();
            }
        }
    }

    private static final class LineSink implements Sink {
        private final Consumer<? super String> lines;
        private final ByteArrayOutputStream line = new ByteArrayOutputStream();

        LineSink(Consumer<? super String> lines) {
            this.lines = lines;
        }

        @Override
        public void write(byte[] bytes, int length) {
            for (int i = 0; i < length; i++) {
                if (bytes[i] == '\n') {
                    give();
                    continue;
                }
                // Between two characters: not where a continuation byte of UTF-8 comes.
                if (line.size() >= LINE_BYTES && ((bytes[i] & 0xc0) != 0x80 || line.size() >= LINE_BYTES + 4)) {
                    give();
                }
                line.write(bytes[i]);
            }
        }

        @Override
        public void end() {
            if (line.size() > 0) {
                give();
            }
        }

        private void give() {
            String text = line.toString(StandardCharsets.UTF_8);
            line.reset();
            lines.accept(text.endsWith("\r") ? text.substring(0, text.length() - 1) : text);
        }
    }
}
