package dev.runhv.vmm.content;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * One JSON object of somebody else's, with typed access that names the place of what is wrong
 * ({@code rootfs.diff_ids[2]: expected a string}). Text is UTF-8 (RFC 8259 §8.1) and one value, with nothing behind it. A
 * member is found whatever the case of its name, as readers in Go find it. One that occurs twice, or in two spellings, is
 * refused: two readers would see two different images.
 */
public final class Json {
    private final String path;
    private final Map<String, Object> members;

    private Json(String path, Map<String, Object> members) {
        this.path = path;
        this.members = members;
    }

    public static Json parse(byte[] text) throws CorruptInputException {
        return asObject("", JsonReader.read(characters(text)));
    }

    /** The array of objects that is a whole document, as {@code manifest.json} of docker save. */
    public static List<Json> parseArray(byte[] text) throws CorruptInputException {
        if (JsonReader.read(characters(text)) instanceof List<?> list) {
            return asObjects("", list);
        }
        throw new CorruptInputException("Not a JSON array");
    }

    /** UTF-8 and nothing else, as other readers have it. */
    private static char[] characters(byte[] text) throws CorruptInputException {
        try {
            CharBuffer characters = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(text));
            char[] array = new char[characters.remaining()];
            characters.get(array);
            return array;
        } catch (CharacterCodingException e) {
            throw new CorruptInputException("Not JSON: it is not UTF-8", e);
        }
    }

    /** False where the member is null, too. */
    public boolean has(String name) throws CorruptInputException {
        return find(name) != null;
    }

    /** Refuses members that are none of these, in this very spelling: of a document that asks for something. */
    public void requireOnly(Set<String> known) throws CorruptInputException {
        for (String member : members.keySet()) {
            if (!known.contains(member)) {
                throw new CorruptInputException(place(member) + ": unknown member");
            }
        }
    }

    private Object find(String name) throws CorruptInputException {
        String found = null;
        for (String member : members.keySet()) {
            if (member.equalsIgnoreCase(name)) {
                if (found != null) {
                    throw new CorruptInputException(
                            "%s is there twice, as %s and as %s".formatted(place(name), found, member));
                }
                found = member;
            }
        }
        return found == null ? null : members.get(found);
    }

    /** Without NUL, where Linux would end it. Half a surrogate pair, which no byte stands for, is refused as JSON already. */
    public String string(String name) throws CorruptInputException {
        return text(name, find(name));
    }

    /** The string, or {@code absent} where there is none or null. */
    public String string(String name, String absent) throws CorruptInputException {
        Object value = find(name);
        return value == null ? absent : text(name, value);
    }

    /** Whether it is there, and true. */
    public boolean is(String name) throws CorruptInputException {
        return Boolean.TRUE.equals(find(name));
    }

    public long number(String name) throws CorruptInputException {
        if (find(name) instanceof Long value) {
            return value;
        }
        throw expected(name, "a whole number");
    }

    public Json object(String name) throws CorruptInputException {
        return asObject(place(name), find(name));
    }

    /** The object, or an empty one where there is none or null. */
    public Json objectOrEmpty(String name) throws CorruptInputException {
        Object value = find(name);
        return value == null ? new Json(place(name), Map.of()) : asObject(place(name), value);
    }

    /** The array's strings; empty where there is none or null. */
    public List<String> strings(String name) throws CorruptInputException {
        List<String> strings = new ArrayList<>();
        for (Object element : array(name)) {
            strings.add(text(name + "[" + strings.size() + "]", element));
        }
        return List.copyOf(strings);
    }

    /** The array's objects; empty where there is none or null. */
    public List<Json> objects(String name) throws CorruptInputException {
        return asObjects(place(name), array(name));
    }

    /** The members that are strings; others are left out. */
    public Map<String, String> stringMembers() {
        Map<String, String> strings = new LinkedHashMap<>();
        for (Map.Entry<String, Object> member : members.entrySet()) {
            if (member.getValue() instanceof String value) {
                strings.put(member.getKey(), value);
            }
        }
        return strings;
    }

    /** Texts, numbers, truth values, nulls, lists and maps of them by text, as they are there. */
    public Map<String, Object> members() {
        return Collections.unmodifiableMap(members);
    }

    public List<String> memberNames() {
        return List.copyOf(members.keySet());
    }

    private List<?> array(String name) throws CorruptInputException {
        Object value = find(name);
        if (value == null) {
            return List.of();
        }
        if (value instanceof List<?> list) {
            return list;
        }
        throw expected(name, "an array");
    }

    private String text(String name, Object value) throws CorruptInputException {
        if (!(value instanceof String text)) {
            throw expected(name, "a string");
        }
        if (text.indexOf('\0') >= 0) {
            throw expected(name, "a string without NUL");
        }
        return text;
    }

    private CorruptInputException expected(String name, String what) {
        return new CorruptInputException(place(name) + ": expected " + what);
    }

    private String place(String name) {
        return path.isEmpty() ? name : path + "." + name;
    }

    private static List<Json> asObjects(String place, List<?> list) throws CorruptInputException {
        List<Json> objects = new ArrayList<>();
        for (Object element : list) {
            objects.add(asObject(place + "[" + objects.size() + "]", element));
        }
        return List.copyOf(objects);
    }

    @SuppressWarnings("unchecked") // only JsonReader makes maps, always with names for keys
    private static Json asObject(String place, Object value) throws CorruptInputException {
        if (value instanceof Map<?, ?> map) {
            return new Json(place, (Map<String, Object>) map);
        }
        throw new CorruptInputException(place.isEmpty() ? "Not a JSON object" : place + ": expected an object");
    }
}
