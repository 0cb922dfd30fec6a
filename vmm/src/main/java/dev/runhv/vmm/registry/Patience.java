package dev.runhv.vmm.registry;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Failures;
import java.io.IOException;
import java.net.http.HttpResponse;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Optional;

/**
 * How long a registry is waited for, and how often it is asked.
 *
 * @param stall the longest wait for the next byte of a body
 * @param clock what a date in Retry-After is compared with
 */
record Patience(Duration stall, Pauses pauses, InstantSource clock) {
    /** Requests, or bodies that brought next to nothing, in a row. */
    static final int ATTEMPTS = 4;
    /** A body that brought so much has brought something: the attempts are counted anew. */
    static final long PROGRESS_BYTES = 1 << 20;
    /** The longest Retry-After that is waited for. */
    static final Duration LONGEST_PAUSE = Duration.ofSeconds(60);

    static final Patience USUAL = new Patience(Duration.ofSeconds(60), Thread::sleep, InstantSource.system());

    static final Duration FIRST_PAUSE = Duration.ofMillis(500);

    interface Pauses {
        void pause(Duration duration) throws InterruptedException;
    }

    /** Before attempt number {@code attempt} + 1: each pause is twice the one before. */
    void pause(int attempt) throws InterruptedException {
        pauses.pause(FIRST_PAUSE.multipliedBy(1L << (attempt - 1)));
    }

    /** As long as the registry asks for (RFC 9110 §10.2.3), or as above where it asks for nothing that can be read. */
    void pause(int attempt, HttpResponse<?> response) throws InterruptedException {
        Optional<Duration> asked = response.headers().firstValue("Retry-After").flatMap(this::parsed);
        if (asked.isPresent()) {
            pauses.pause(asked.get());
        } else {
            pause(attempt);
        }
    }

    /** Whether the registry wants to be asked again, and that soon enough to wait for. */
    boolean isWorthAsking(HttpResponse<?> response) {
        int status = response.statusCode();
        return (status == 408 || status == 429 || status >= 500)
                && response.headers()
                        .firstValue("Retry-After")
                        .flatMap(this::parsed)
                        .map(pause -> pause.compareTo(LONGEST_PAUSE) <= 0)
                        .orElse(true);
    }

    /** The attempts at one thing. */
    final class Attempts {
        private int failed;
        private long reached;

        /** @param offset of the body that is asked for now: how far those before came */
        void reached(long offset) {
            if (offset - reached >= PROGRESS_BYTES) {
                failed = 0;
            }
            reached = offset;
        }

        /**
         * Waits for the next attempt.
         *
         * @throws IOException the failure, where there is none
         */
        void again(IOException failure) throws IOException, InterruptedException {
            Failures.throwIfInterrupted(failure);
            failed++;
            if (failure instanceof CorruptInputException || failed == ATTEMPTS) {
                throw failure;
            }
            pause(failed);
        }
    }

    private Optional<Duration> parsed(String retryAfter) {
        if (retryAfter.matches("[0-9]{1,9}")) {
            return Optional.of(Duration.ofSeconds(Long.parseLong(retryAfter)));
        }
        try {
            Instant at = ZonedDateTime.parse(retryAfter, DateTimeFormatter.RFC_1123_DATE_TIME)
                    .toInstant();
            Duration pause = Duration.between(clock.instant(), at);
            return Optional.of(pause.isNegative() ? Duration.ZERO : pause);
        } catch (DateTimeException e) {
            return Optional.empty();
        }
    }
}
