package dev.runhv.vmm.image;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * What somebody says of some content (in-toto attestation framework, "Statement"). It may be large: what is said is a part of
 * the bytes, not a tree of its values.
 *
 * @param subjects digests of what it is about; those by algorithms that runhv does not know are left out
 * @param predicateType a URI: what kind of thing is said
 * @param predicate a JSON object, byte for byte
 */
record InTotoStatement(List<Digest> subjects, String predicateType, byte[] predicate) {
    private static final JsonFactory FACTORY = JsonFactory.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .build();

    static InTotoStatement parse(byte[] text) throws CorruptInputException {
        try (JsonParser json = FACTORY.createParser(text)) {
            return read(json, text);
        } catch (CorruptInputException e) {
            throw e;
        } catch (IOException e) {
            throw new CorruptInputException("It is no JSON that can be read: " + e.getMessage(), e);
        }
    }

    private static InTotoStatement read(JsonParser json, byte[] text) throws IOException {
        require(json.nextToken() == JsonToken.START_OBJECT, "It is no JSON object");
        List<Digest> subjects = List.of();
        String type = "";
        byte[] predicate = null;
        while (json.nextToken() == JsonToken.FIELD_NAME) {
            String member = json.currentName();
            json.nextToken();
            switch (member) {
                case "subject" -> subjects = subjects(json);
                case "predicateType" -> type = string(json, member);
                case "predicate" -> predicate = bytes(json, text);
                default -> json.skipChildren();
            }
        }
        require(json.nextToken() == null, "Something follows the JSON");
        require(predicate != null, "predicate: expected an object");
        return new InTotoStatement(subjects, type, predicate);
    }

    private static List<Digest> subjects(JsonParser json) throws IOException {
        require(json.currentToken() == JsonToken.START_ARRAY, "subject: expected an array");
        List<Digest> digests = new ArrayList<>();
        while (json.nextToken() != JsonToken.END_ARRAY) {
            require(json.currentToken() == JsonToken.START_OBJECT, "subject: expected objects");
            require(digests.size() <= ImageLimits.MANIFESTS_OF_AN_INDEX, "It has too many subjects");
            while (json.nextToken() == JsonToken.FIELD_NAME) {
                boolean digest = json.currentName().equals("digest");
                json.nextToken();
                if (digest) {
                    addDigests(json, digests);
                } else {
                    json.skipChildren();
                }
            }
        }
        return List.copyOf(digests);
    }

    private static void addDigests(JsonParser json, List<Digest> digests) throws IOException {
        require(json.currentToken() == JsonToken.START_OBJECT, "subject.digest: expected an object");
        while (json.nextToken() == JsonToken.FIELD_NAME) {
            String algorithm = json.currentName();
            json.nextToken();
            String hex = string(json, "subject.digest." + algorithm);
            if (algorithm.equals("sha256") || algorithm.equals("sha512")) {
                digests.add(Digest.parse(algorithm + ":" + hex));
            }
        }
    }

    private static byte[] bytes(JsonParser json, byte[] text) throws IOException {
        require(json.currentToken() == JsonToken.START_OBJECT, "predicate: expected an object");
        long from = json.currentTokenLocation().getByteOffset();
        json.skipChildren();
        long to = json.currentLocation().getByteOffset();
        // The parser counts characters where it is not UTF-8.
        require(from >= 0 && to > from && to <= text.length, "It is not UTF-8");
        return Arrays.copyOfRange(text, (int) from, (int) to);
    }

    private static String string(JsonParser json, String member) throws IOException {
        require(json.currentToken() == JsonToken.VALUE_STRING, member + ": expected a string");
        return json.getText();
    }

    private static void require(boolean holds, String otherwise) throws CorruptInputException {
        if (!holds) {
            throw new CorruptInputException(otherwise);
        }
    }
}
