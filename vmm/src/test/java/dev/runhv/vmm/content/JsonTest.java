package dev.runhv.vmm.content;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JsonTest {
    private static Json parse(String text) throws CorruptInputException {
        return Json.parse(text.getBytes(StandardCharsets.UTF_8));
    }

    @ParameterizedTest
    @ValueSource(strings = {"4444E4444460452933177", "1E99999999999", "-1e-99999999999"})
    void anExponentBeyondAllBoundsIsNoNumber(String number) {
        assertThatThrownBy(() -> parse("{\"a\":" + number + "}"))
                .isInstanceOf(CorruptInputException.class)
                .hasMessageContaining("Not JSON");
        assertThatThrownBy(() -> parse(number)).isInstanceOf(CorruptInputException.class);
    }

    @Test
    void aNumberStaysWhatItIs() throws CorruptInputException {
        assertThat(parse("{\"a\":7}").number("a")).isEqualTo(7);
    }
}
