package dev.runhv.vmm.content;

import com.google.gson.Strictness;
import com.google.gson.stream.MalformedJsonException;
import java.io.CharArrayReader;
import java.io.EOFException;
import java.io.IOException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads one JSON document (RFC 8259) of somebody else's: maps by text, lists, texts, numbers, truth values and null. A member
 * that is there twice is refused: two readers would see two different documents. By Gson's tokens, since a person waits for
 * the first document (docs/adr/0043-json-by-gsons-tokens.md).
 */
final class JsonReader {
    private static final int DEPTH = 64;
    private static final int STRING_CHARACTERS = 1 << 20;
    private static final int NUMBER_CHARACTERS = 1000;
    /** Digits that a long has for sure. */
    private static final int LONG_DIGITS = 18;

    private final com.google.gson.stream.JsonReader tokens;

    private JsonReader(com.google.gson.stream.JsonReader tokens) {
        this.tokens = tokens;
    }

    /** @return numbers as Long where they are whole and fit, else as BigInteger or BigDecimal */
    static Object read(char[] text) throws CorruptInputException {
        try (var tokens = new com.google.gson.stream.JsonReader(new CharArrayReader(text))) {
            tokens.setStrictness(Strictness.STRICT);
            return new JsonReader(tokens).document();
        } catch (CorruptInputException e) {
            throw e;
        } catch (IOException e) {
            throw new CorruptInputException("Not JSON", e);
        }
    }

    private Object document() throws IOException {
        requireAny();
        try {
            Object document = value(0);
            requireEnd();
            return document;
        } catch (EOFException e) {
            throw new CorruptInputException("Not JSON: it ends too early", e);
        } catch (MalformedJsonException e) {
            // Gson's own words speak to who programs with it.
            throw new CorruptInputException("Not JSON: something is out of place at " + tokens.getPath(), e);
        }
    }

    private void requireAny() throws IOException {
        try {
            var _ = tokens.peek();
        } catch (EOFException e) {
            throw new CorruptInputException("Not JSON: it is empty", e);
        } catch (MalformedJsonException e) {
            throw new CorruptInputException("Not JSON: something is out of place at its beginning", e);
        }
    }

    private void requireEnd() throws IOException {
        try {
            var _ = tokens.peek(); // in strict mode it is END_DOCUMENT
        } catch (MalformedJsonException e) {
            throw new CorruptInputException("Not JSON: Something follows it", e);
        }
    }

    /** @param depth of the objects and arrays around it */
    private Object value(int depth) throws IOException {
        return switch (tokens.peek()) {
            case BEGIN_OBJECT -> object(depth + 1);
            case BEGIN_ARRAY -> array(depth + 1);
            case STRING -> text(tokens.nextString());
            case NUMBER -> number(tokens.nextString());
            case BOOLEAN -> tokens.nextBoolean();
            case NULL -> {
                tokens.nextNull();
                yield null;
            }
            default -> throw new EOFException();
        };
    }

    private Map<String, Object> object(int depth) throws IOException {
        requireDepth(depth);
        Map<String, Object> members = new LinkedHashMap<>();
        tokens.beginObject();
        while (tokens.hasNext()) {
            String name = text(tokens.nextName());
            if (members.containsKey(name)) {
                throw new CorruptInputException("Duplicate field '" + name + "'");
            }
            members.put(name, value(depth));
        }
        tokens.endObject();
        return members;
    }

    private List<Object> array(int depth) throws IOException {
        requireDepth(depth);
        List<Object> elements = new ArrayList<>();
        tokens.beginArray();
        while (tokens.hasNext()) {
            elements.add(value(depth));
        }
        tokens.endArray();
        return elements;
    }

    private static CorruptInputException beyondLimits() {
        return new CorruptInputException(
                "It is JSON beyond the limits, a depth of %d, strings of %d characters and numbers of %d"
                        .formatted(DEPTH, STRING_CHARACTERS, NUMBER_CHARACTERS));
    }

    private static void requireDepth(int depth) throws CorruptInputException {
        if (depth > DEPTH) {
            throw beyondLimits();
        }
    }

    private static String text(String text) throws CorruptInputException {
        if (text.length() > STRING_CHARACTERS) {
            throw beyondLimits();
        }
        return text;
    }

    private static Object number(String number) throws CorruptInputException {
        if (number.length() > NUMBER_CHARACTERS) {
            throw beyondLimits();
        }
        if (number.indexOf('.') >= 0 || number.indexOf('e') >= 0 || number.indexOf('E') >= 0) {
            return decimal(number);
        }
        if (number.length() <= LONG_DIGITS) {
            return Long.parseLong(number);
        }
        BigInteger large = new BigInteger(number);
        return large.bitLength() < Long.SIZE ? (Object) large.longValue() : large;
    }

    private static BigDecimal decimal(String number) throws CorruptInputException {
        try {
            return new BigDecimal(number);
        } catch (NumberFormatException e) {
            throw new CorruptInputException("Not JSON: a number has an exponent beyond all bounds", e);
        }
    }
}
