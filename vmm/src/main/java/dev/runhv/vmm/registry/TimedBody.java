package dev.runhv.vmm.registry;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * The body of an answer as a stream of which no read waits longer than a limit: the time that HttpClient bounds ends with
 * the headers. What is not read is not asked for. One thread reads.
 */
final class TimedBody extends InputStream implements HttpResponse.BodySubscriber<InputStream> {
    /** @param failure null: none; then no buffers are the end */
    private record Part(List<ByteBuffer> buffers, Throwable failure) {}

    private final Duration limit;
    private final BlockingQueue<Part> parts = new LinkedBlockingQueue<>();
    private final CompletableFuture<Flow.Subscription> subscription = new CompletableFuture<>();
    private final Queue<ByteBuffer> unread = new ArrayDeque<>();
    private boolean ended;

    /** @param limit of the wait for the next byte */
    TimedBody(Duration limit) {
        this.limit = limit;
    }

    @Override
    public CompletionStage<InputStream> getBody() {
        return CompletableFuture.completedStage(this);
    }

    @Override
    public void onSubscribe(Flow.Subscription asked) {
        if (!subscription.complete(asked)) {
            asked.cancel();
            return;
        }
        asked.request(1);
    }

    @Override
    public void onNext(List<ByteBuffer> buffers) {
        parts.add(new Part(buffers, null));
    }

    @Override
    public void onError(Throwable failure) {
        parts.add(new Part(List.of(), failure));
    }

    @Override
    public void onComplete() {
        parts.add(new Part(List.of(), null));
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] into, int offset, int length) throws IOException {
        if (length == 0) {
            return 0;
        }
        while (unread.isEmpty() || !unread.peek().hasRemaining()) {
            unread.poll();
            if (unread.isEmpty() && !next()) {
                return -1;
            }
        }
        // All that is there: the client's buffers are small, and the reader's files and digests like large pieces.
        int count = 0;
        while (count < length && !unread.isEmpty()) {
            ByteBuffer buffer = unread.peek();
            int some = Math.min(length - count, buffer.remaining());
            buffer.get(into, offset + count, some);
            count += some;
            if (!buffer.hasRemaining()) {
                unread.poll();
            }
        }
        return count;
    }

    private boolean next() throws IOException {
        if (ended) {
            return false;
        }
        Part part;
        try {
            part = parts.poll(limit.toNanos(), TimeUnit.NANOSECONDS);
        } catch (InterruptedException e) {
            InterruptedIOException interrupted = new InterruptedIOException();
            interrupted.initCause(e);
            throw interrupted;
        }
        if (part == null) {
            close();
            throw new IOException("The registry sent nothing more for %d ms".formatted(limit.toMillis()));
        }
        if (part.failure() != null) {
            ended = true;
            throw new IOException("The registry broke off: " + part.failure().getMessage(), part.failure());
        }
        ended = part.buffers().isEmpty();
        unread.addAll(part.buffers());
        if (!ended) {
            subscription.join().request(1);
        }
        return !ended;
    }

    /** What has not come yet will not. */
    @Override
    public void close() {
        ended = true;
        unread.clear();
        // Without one the answer has not begun; whoever brings one then finds it cancelled.
        if (!subscription.complete(null) && subscription.join() != null) {
            subscription.join().cancel();
        }
    }
}
