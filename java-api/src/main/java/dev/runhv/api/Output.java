package dev.runhv.api;

import java.io.OutputStream;
import java.nio.file.Path;
import java.util.Objects;
import java.util.function.Consumer;

/**
 * Where a process's standard output, or its standard error, goes. What a sink is given has all arrived there before the
 * end is told.
 */
public sealed interface Output {
    /**
     * What is kept of a stream that nobody reads: see {@link #keep(int)}.
     */
    int KEPT_BYTES = 1 << 20;

    /**
     * Is kept until it is read: {@link #keep(int)} with {@link #KEPT_BYTES}. What a specification has where it does not say.
     *
     * @return the wish
     */
    static Output keep() {
        return keep(KEPT_BYTES);
    }

    /**
     * Is kept until it is read as a stream, during the run or after it. A process never waits because nobody has asked for
     * the stream: of more than this many bytes the newest are kept, and the first read then says in an
     * {@link java.io.IOException} how many are lost, before it gives the rest. From the moment on in which the stream is
     * asked for nothing is lost: then the process waits for a reader that is too slow.
     *
     * @param bytes at least 1
     * @return the wish
     */
    static Output keep(int bytes) {
        if (bytes < 1) {
            throw RunhvException.of(
                    ErrorCode.INVALID_ARGUMENT, "keep output", "At least 1 byte, not " + bytes, null, null);
        }
        return new Keep(bytes);
    }

    /**
     * Is to be read as a stream, and nothing is lost: a process that writes more than a pipe holds waits until it is read.
     *
     * @return the wish
     */
    static Output pipe() {
        return new Pipe();
    }

    /**
     * Is written there, and flushed, as it comes. Where that fails, the rest is thrown away.
     *
     * @param sink is used by one thread, and not closed
     * @return the wish
     */
    static Output to(OutputStream sink) {
        return new To(sink);
    }

    /**
     * Is given line by line, decoded as UTF-8, without the ends of lines. A line of more than 64 KiB comes in pieces. Where
     * the sink throws, the rest is thrown away.
     *
     * @param sink is called by one thread
     * @return the wish
     */
    static Output lines(Consumer<? super String> sink) {
        return new Lines(sink);
    }

    /**
     * Is written to a file, by the micro-VM itself where it is a container's.
     *
     * @param file is made, or emptied
     * @return the wish
     */
    static Output file(Path file) {
        return new ToFile(file, false);
    }

    /**
     * Is added to a file.
     *
     * @param file is made where it is missing
     * @return the wish
     */
    static Output append(Path file) {
        return new ToFile(file, true);
    }

    /**
     * Is thrown away.
     *
     * @return the wish
     */
    static Output discard() {
        return new Discard();
    }

    /**
     * Goes where that of this program goes.
     *
     * @return the wish
     */
    static Output inherit() {
        return new Inherit();
    }

    /**
     * See {@link #keep(int)}.
     *
     * @param bytes at least 1
     */
    record Keep(int bytes) implements Output {}

    /** See {@link #pipe()}. */
    record Pipe() implements Output {}

    /**
     * See {@link #to}.
     *
     * @param sink not closed
     */
    record To(OutputStream sink) implements Output {
        /** Where the bytes go. */
        public To {
            Objects.requireNonNull(sink, "sink");
        }
    }

    /**
     * See {@link #lines}.
     *
     * @param sink called by one thread
     */
    record Lines(Consumer<? super String> sink) implements Output {
        /** Where the lines go. */
        public Lines {
            Objects.requireNonNull(sink, "sink");
        }
    }

    /**
     * See {@link #file} and {@link #append}.
     *
     * @param file the one
     * @param append whether what it holds stays
     */
    record ToFile(Path file, boolean append) implements Output {
        /** Where the bytes go. */
        public ToFile {
            Objects.requireNonNull(file, "file");
        }
    }

    /** See {@link #discard()}. */
    record Discard() implements Output {}

    /** See {@link #inherit()}. */
    record Inherit() implements Output {}
}
