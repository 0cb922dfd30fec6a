package dev.runhv.vmm.content;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import java.io.IOException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
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
        assertThat(parse("{\"a\":9223372036854775807,\"b\":-9223372036854775808,\"c\":9223372036854775808,\"d\":1.50}")
                        .members())
                .containsEntry("a", Long.MAX_VALUE)
                .containsEntry("b", Long.MIN_VALUE)
                .containsEntry("c", BigInteger.TWO.pow(63))
                .containsEntry("d", new BigDecimal("1.50"));
    }

    @Test
    void textsAreWhatTheirEscapesSay() throws CorruptInputException {
        assertThat(parse("{\"a\":\"x\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDC0B\u00e9y\"}")
                        .string("a"))
                .isEqualTo("x\"\\/\b\f\n\r\t\u00e9\ud83d\udc0b\u00e9y");
    }

    @Test
    void depthTextsAndNumbersHaveLimits() throws CorruptInputException {
        parse("{\"a\":" + "[".repeat(63) + "]".repeat(63) + "}");
        refuses("{\"a\":" + "[".repeat(64) + "]".repeat(64) + "}", "beyond the limits");
        parse("{\"a\":\"" + "x".repeat(1 << 20) + "\"}");
        refuses("{\"a\":\"" + "x".repeat(1 + (1 << 20)) + "\"}", "beyond the limits");
        refuses("{\"a\":\"\\n" + "x".repeat(1 << 20) + "\"}", "beyond the limits");
        parse("{\"a\":" + "1".repeat(1000) + "}");
        refuses("{\"a\":" + "1".repeat(1001) + "}", "beyond the limits");
    }

    private static void refuses(String text, String why) {
        assertThatThrownBy(() -> parse(text))
                .isInstanceOf(CorruptInputException.class)
                .hasMessageContaining(why);
    }

    /** A reader that is not ours says of a hundred thousand damaged documents what they are. */
    @Test
    void readsAndRefusesWhatJacksonDoes() {
        JsonFactory jackson = JsonFactory.builder()
                .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                .build();
        String document =
                "{\"a\":[1,-2.5e+3,true,false,null,{}],\"b\":{\"c\":\"x\\u00e9\\n\",\"d\":[]},\"e\":0 , \"f\":\"\"}";
        String characters = "{}[]:,\"\\ \n\t0123456789-+.eEtrufalsn/b\u0001\u00e9";
        Random random = new Random(15);
        int accepted = 0;
        for (int i = 0; i < 100_000; i++) {
            StringBuilder text = new StringBuilder(document);
            for (int changes = 1 + random.nextInt(3); changes > 0; changes--) {
                int at = random.nextInt(text.length());
                char c = characters.charAt(random.nextInt(characters.length()));
                switch (random.nextInt(3)) {
                    case 0 -> text.setCharAt(at, c);
                    case 1 -> text.insert(at, c);
                    default -> text.deleteCharAt(at);
                }
            }
            Object expected = read(jackson, text.toString());
            Object actual;
            try {
                actual = parse(text.toString()).members();
                accepted++;
            } catch (CorruptInputException e) {
                actual = e.getClass();
            }
            assertThat(actual).as(text.toString()).isEqualTo(expected);
        }
        assertThat(accepted).isGreaterThan(5_000);
    }

    private static Object read(JsonFactory jackson, String text) {
        try (JsonParser parser = jackson.createParser(text)) {
            Object document = parser.nextToken() == JsonToken.START_OBJECT ? value(parser) : null;
            return document == null || parser.nextToken() != null ? CorruptInputException.class : document;
        } catch (IOException | NumberFormatException e) {
            return CorruptInputException.class;
        }
    }

    private static Object value(JsonParser parser) throws IOException {
        return switch (parser.currentToken()) {
            case START_OBJECT -> {
                Map<String, Object> members = new LinkedHashMap<>();
                while (parser.nextToken() == JsonToken.FIELD_NAME) {
                    String name = parser.currentName();
                    parser.nextToken();
                    members.put(name, value(parser));
                }
                yield members;
            }
            case START_ARRAY -> {
                List<Object> elements = new ArrayList<>();
                while (parser.nextToken() != JsonToken.END_ARRAY) {
                    elements.add(value(parser));
                }
                yield elements;
            }
            case VALUE_NUMBER_INT -> {
                BigInteger number = parser.getBigIntegerValue();
                yield number.bitLength() < Long.SIZE ? (Object) number.longValue() : number;
            }
            case VALUE_NUMBER_FLOAT -> parser.getDecimalValue();
            case VALUE_TRUE -> true;
            case VALUE_FALSE -> false;
            case VALUE_NULL -> null;
            case VALUE_STRING -> parser.getText();
            case null, default -> throw new IOException("It ends too early");
        };
    }
}
