package dev.runhv.vmm.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.runhv.vmm.store.ImageStore;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ImageTextsTest {
    /** As docker 20.10 and moby 29 print them: go-units. */
    @ParameterizedTest
    @CsvSource({
        "0, Less than a second ago, 0B",
        "1, 1 second ago, 1B",
        "59, 59 seconds ago, 59B",
        "60, About a minute ago, 60B",
        "3600, About an hour ago, 3.6kB",
        "7200, 2 hours ago, 7.2kB",
        "172799, 47 hours ago, 173kB",
        "172800, 2 days ago, 173kB",
        "1209600, 2 weeks ago, 1.21MB",
        "5184000, 2 months ago, 5.18MB",
        "63072000, 2 years ago, 63.1MB",
        "999499, 11 days ago, 999kB",
        "999500, 11 days ago, 1MB",
        "1000000, 11 days ago, 1MB",
        "1004999, 11 days ago, 1MB",
        "10049999, 3 months ago, 10MB",
        "100000000, 3 years ago, 100MB"
    })
    void agesAndSizesAreDockersWords(long number, String age, String size) {
        Instant now = Instant.parse("2026-11-28T12:00:00Z");
        ImageTexts texts = new ImageTexts(new ImageStore(Path.of("none")), () -> now);
        assertThat(texts.since(now.minus(Duration.ofSeconds(number)))).isEqualTo(age);
        assertThat(ImageTexts.size(number)).isEqualTo(size);
    }
}
