package dev.runhv.vmm.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class InTotoStatementTest {
    private static final Digest MANIFEST = Digest.sha256(new byte[] {1});

    private static InTotoStatement parse(String text) throws CorruptInputException {
        return InTotoStatement.parse(text.getBytes(StandardCharsets.UTF_8));
    }

    @Test
    void aPredicateIsGivenByteForByte() throws CorruptInputException {
        String predicate = "{ \"name\" : \"é\\u0041\",\"packages\":[ {\"n\":1.0}, null ] }";
        InTotoStatement statement = parse("{\"_type\":\"https://in-toto.io/Statement/v0.1\",\"ü\":[{}],\"predicate\":"
                + predicate + ",\"subject\":[{\"name\":\"a\",\"digest\":{\"sha1\":\"00\",\"sha256\":\"" + MANIFEST.hex()
                + "\"}}],\"predicateType\":\"https://spdx.dev/Document\"}");
        assertThat(new String(statement.predicate(), StandardCharsets.UTF_8)).isEqualTo(predicate);
        assertThat(statement.subjects()).containsExactly(MANIFEST);
        assertThat(statement.predicateType()).isEqualTo("https://spdx.dev/Document");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "[]",
                "{}",
                "{\"predicate\":1}",
                "{\"predicate\":{}",
                "{\"predicate\":{}} x",
                "{\"predicate\":{},\"predicate\":{}}",
                "{\"predicate\":{},\"predicateType\":1}",
                "{\"predicate\":{},\"subject\":{}}",
                "{\"predicate\":{},\"subject\":[1]}",
                "{\"predicate\":{},\"subject\":[{\"digest\":[]}]}",
                "{\"predicate\":{},\"subject\":[{\"digest\":{\"sha256\":\"00\"}}]}",
            })
    void whatIsNoStatementIsRefused(String text) {
        assertThatThrownBy(() -> parse(text)).isInstanceOf(CorruptInputException.class);
    }

    @Test
    void anotherEncodingIsRefused() {
        assertThatThrownBy(() -> InTotoStatement.parse("{\"predicate\":{}}".getBytes(StandardCharsets.UTF_16BE)))
                .isInstanceOf(CorruptInputException.class);
    }
}
