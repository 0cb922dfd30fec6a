package dev.runhv.vmm.registry;

import dev.runhv.vmm.content.BlockInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.LongConsumer;

/**
 * What a request carries.
 *
 * @param size in bytes; as many are sent
 * @param opener of its bytes, once for each time that it is sent
 * @param progress is told how many bytes are on their way
 */
record Content(long size, Opener opener, LongConsumer progress) {
    static final Content NONE = new Content(0, InputStream::nullInputStream, bytes -> {});

    interface Opener {
        InputStream open() throws IOException;
    }

    /** One request with it: HttpClient bounds the time of a request as a whole, which says nothing of a large one. */
    final class Sending implements AutoCloseable {
        private final Duration stall;
        private final List<Sent> opened = new CopyOnWriteArrayList<>();
        private volatile long reads;

        /** @param stall the longest time in which nothing of it is taken, or no answer comes to all of it */
        Sending(Duration stall) {
            this.stall = stall;
        }

        HttpRequest.BodyPublisher publisher() {
            return HttpRequest.BodyPublishers.fromPublisher(
                    HttpRequest.BodyPublishers.ofInputStream(() -> {
                        Sent sent = new Sent();
                        opened.add(sent);
                        return sent;
                    }),
                    size);
        }

        <T> HttpResponse<T> send(HttpClient http, HttpRequest request, HttpResponse.BodyHandler<T> handler)
                throws IOException, InterruptedException {
            CompletableFuture<HttpResponse<T>> answer = http.sendAsync(request, handler);
            try {
                long seen;
                do {
                    seen = reads;
                    try {
                        return answer.get(stall.toNanos(), TimeUnit.NANOSECONDS);
                    } catch (TimeoutException e) {
                        // What has been taken meanwhile is an answer of a kind.
                    }
                } while (reads != seen);
                throw new IOException("%s takes nothing more for %d ms"
                        .formatted(request.uri().getAuthority(), stall.toMillis()));
            } catch (ExecutionException e) {
                switch (e.getCause()) {
                    case IOException failure -> throw failure;
                    case RuntimeException failure -> throw failure;
                    case Throwable failure -> throw new IllegalStateException(failure);
                }
            } finally {
                answer.cancel(true);
            }
        }

        /** HttpClient closes what it has read to the end only. */
        @Override
        public void close() throws IOException {
            for (Sent sent : opened) {
                sent.close();
            }
        }

        /** Opened by its first read: HttpClient gives no way for a failure before. */
        private final class Sent extends BlockInputStream {
            private InputStream in;
            private boolean closed;
            private long count;

            @Override
            public synchronized int read(byte[] buffer, int offset, int length) throws IOException {
                if (closed) {
                    throw new IOException("It is not sent any more");
                }
                if (in == null) {
                    in = opener.open();
                }
                int read = in.read(buffer, offset, length);
                reads++;
                count += Math.max(read, 0);
                progress.accept(Math.min(count, size));
                return read;
            }

            @Override
            public synchronized void close() throws IOException {
                closed = true;
                if (in != null) {
                    in.close();
                }
            }
        }
    }
}
