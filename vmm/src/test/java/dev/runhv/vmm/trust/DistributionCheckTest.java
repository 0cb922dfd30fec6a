package dev.runhv.vmm.trust;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DistributionCheckTest {
    private static final Digest DIGEST = Digest.sha256(new byte[0]);

    private static Map<String, Digest> parse(String text) throws CorruptInputException {
        return DistributionCheck.parse(text.replace("D", DIGEST.hex()).getBytes(StandardCharsets.UTF_8));
    }

    @Test
    void linesAreThoseOfSha256sum() throws CorruptInputException {
        assertThat(parse("D  bin/a\nD  b c\n")).isEqualTo(Map.of("bin/a", DIGEST, "b c", DIGEST));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "D  /etc/passwd",
                "D  ../a",
                "D  a/../../b",
                "D  a//b",
                "D  ./a",
                "D  ",
                "D *a",
                "D",
                "00  a",
                "\\D  a",
                "D  a\nD  a",
                "D  a\n\nD  b"
            })
    void pathsLeadDownwards(String text) {
        assertThatThrownBy(() -> parse(text)).isInstanceOf(CorruptInputException.class);
    }
}
