package dev.runhv.vmm.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.RunhvException;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PlatformTest {
    /** Which of those that are offered serve, the best first. */
    @ParameterizedTest
    @CsvSource({
        "linux/amd64, linux/amd64/v3 linux/amd64 linux/amd64/v5 linux/arm64, linux/amd64 linux/amd64/v3",
        "linux/amd64/v3, linux/amd64 linux/amd64/v2 linux/amd64/v4 linux/amd64/v3,"
                + " linux/amd64/v3 linux/amd64/v2 linux/amd64",
        "linux/arm64, linux/arm64/v8 linux/arm/v7 windows/arm64 linux/arm64/v9, linux/arm64/v8",
        "linux/aarch64, linux/arm64, linux/arm64",
        "linux/arm, linux/arm/v5 linux/arm/v8 linux/arm/v7 linux/arm/v6, linux/arm/v7 linux/arm/v6 linux/arm/v5",
        "linux/arm/v6, linux/arm/v7 linux/arm/v6, linux/arm/v6",
        "linux/s390x, linux/s390x linux/amd64, linux/s390x"
    })
    void servesWhatIsWanted(String wanted, String offered, String expected) {
        Platform asked = Platform.parse(wanted);
        List<Platform> serve = Arrays.stream(offered.split(" "))
                .map(Platform::parse)
                .filter(platform -> platform.distanceFrom(asked) >= 0)
                .sorted(Comparator.comparingInt(platform -> platform.distanceFrom(asked)))
                .toList();
        assertThat(serve.stream().map(Platform::toString).collect(Collectors.joining(" ")))
                .isEqualTo(expected);
    }

    @Test
    void whatSaysNothingServesLast() {
        Platform unsaid = new Platform("", "", "");
        assertThat(unsaid.distanceFrom(Platform.HERE))
                .isGreaterThan(Platform.parse("linux/amd64/v4").distanceFrom(Platform.HERE));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "linux", "linux/", "linux/arm64/", "linux/arm64/v8/x", "lin ux/arm64", "linux/a\n"})
    void refusesWhatIsNone(String text) {
        assertThatThrownBy(() -> Platform.parse(text)).isInstanceOf(RunhvException.class);
    }
}
