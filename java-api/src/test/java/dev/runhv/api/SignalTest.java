package dev.runhv.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SignalTest {
    @ParameterizedTest
    @CsvSource({
        "TERM, 15, TERM",
        "sigterm, 15, TERM",
        "SIGPIPE, 13, PIPE",
        "STOP, 19, STOP",
        "SYS, 31, SYS",
        "9, 9, KILL",
        "RTMIN, 34, RTMIN",
        "SIGRTMIN+3, 37, RTMIN+3",
        "RTMAX, 64, RTMIN+30",
        "RTMAX-1, 63, RTMIN+29",
        "33, 33, 33"
    })
    void namesAndNumbers(String text, int number, String name) {
        assertThat(Signal.of(text)).isEqualTo(new Signal(number)).hasToString(name);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "SIG",
                "LUNCH",
                "0",
                "65",
                "-1",
                "+9",
                "RTMIN-1",
                "RTMIN+31",
                "RTMAX-31",
                "RTMIN+",
                "RTMINX",
                "99999999999"
            })
    void whatIsNoSignalIsRefused(String text) {
        assertThatThrownBy(() -> Signal.of(text))
                .isInstanceOfSatisfying(
                        RequestException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_ARGUMENT));
    }

    @Test
    void constantsAreThoseOfLinux() {
        assertThat(Signal.USR1).isEqualTo(Signal.of("USR1"));
        assertThat(Signal.USR2).isEqualTo(Signal.of("USR2"));
        assertThat(Signal.CONT).isEqualTo(Signal.of("CONT"));
        assertThat(Signal.STOP).isEqualTo(Signal.of("STOP"));
        assertThat(Signal.WINCH).isEqualTo(Signal.of("WINCH"));
        assertThatThrownBy(() -> new Signal(0)).isInstanceOf(RequestException.class);
    }
}
