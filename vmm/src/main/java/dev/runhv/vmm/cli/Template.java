package dev.runhv.vmm.cli;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.Failures;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * What docker's {@code --format} takes and scripts use: text with <code>{{.Field}}</code>, <code>{{.Field.Part}}</code> and
 * <code>{{json .Field}}</code>; {@code table} before it gives a heading and columns at its tabs; {@code json} alone is all
 * fields of each row. The rest of Go's templates is refused.
 */
final class Template {
    private static final String OPERATION = "read --format";
    private static final Pattern ACTION = Pattern.compile("\\{\\{(.*?)}}");
    private static final Pattern FIELD = Pattern.compile("\\s*(json\\s+)?\\.([A-Za-z0-9_.-]*)\\s*");
    private static final String TABLE = "table ";

    /** @param path empty: the whole row */
    private record Part(String text, List<String> path, boolean json) {}

    private final boolean table;
    private final List<Part> parts;

    private Template(boolean table, List<Part> parts) {
        this.table = table;
        this.parts = parts;
    }

    /** @throws RunhvException {@code INVALID_ARGUMENT} */
    static Template parse(String format) {
        boolean table = format.startsWith(TABLE);
        String text = format.equals("json") ? "{{json .}}" : table ? format.substring(TABLE.length()) : format;
        text = text.replace("\\t", "\t").replace("\\n", "\n");
        List<Part> parts = new ArrayList<>();
        Matcher action = ACTION.matcher(text);
        int end = 0;
        while (action.find()) {
            parts.add(new Part(text.substring(end, action.start()), List.of(), false));
            parts.add(field(action.group(1)));
            end = action.end();
        }
        parts.add(new Part(text.substring(end), List.of(), false));
        return new Template(table, parts);
    }

    private static Part field(String text) {
        Matcher field = FIELD.matcher(text);
        if (!field.matches()) {
            throw Failures.invalid(OPERATION, "\"{{%s}}\": {{.Field}} and {{json .Field}} are known".formatted(text));
        }
        String path = field.group(2);
        return new Part(null, path.isEmpty() ? List.of() : List.of(path.split("\\.", -1)), field.group(1) != null);
    }

    /** Whether anything of the field is in a line. */
    boolean asks(String field) {
        for (Part part : parts) {
            if (part.text == null
                    && (part.path.isEmpty() || part.path.getFirst().equals(field))) {
                return true;
            }
        }
        return false;
    }

    /**
     * A line for each row.
     *
     * @param headings of fields that have one of their own; others have their name in capitals
     * @throws RunhvException {@code INVALID_ARGUMENT} where a field is not there
     */
    String text(Map<String, String> headings, List<? extends Map<String, ?>> rows) throws IOException {
        List<String> lines = new ArrayList<>();
        for (Map<String, ?> row : rows) {
            StringBuilder line = new StringBuilder();
            for (Part part : parts) {
                line.append(part.text != null ? part.text : value(part, row));
            }
            lines.add(line.toString());
        }
        if (!table) {
            return lines.stream().map(line -> line + "\n").collect(Collectors.joining());
        }
        StringBuilder heading = new StringBuilder();
        for (Part part : parts) {
            String name = part.text == null ? String.join(".", part.path) : "";
            heading.append(part.text != null ? part.text : headings.getOrDefault(name, name.toUpperCase()));
        }
        lines.addFirst(heading.toString());
        return Table.text(
                lines.stream().map(line -> List.of(line.split("\t", -1))).toList());
    }

    private static String value(Part part, Map<String, ?> row) throws IOException {
        Object value = row;
        for (String name : part.path) {
            if (!(value instanceof Map<?, ?> map) || !map.containsKey(name)) {
                throw Failures.invalid(OPERATION, "There is no field ." + String.join(".", part.path));
            }
            value = map.get(name);
        }
        return part.json ? JsonText.of(value) : plain(value);
    }

    /** As Go prints it. No switch over types: that is made at run time (docs/adr/0043-json-by-gsons-tokens.md). */
    private static String plain(Object value) {
        if (value instanceof List<?> list) {
            return list.stream().map(Template::plain).collect(Collectors.joining(" ", "[", "]"));
        }
        if (value instanceof Map<?, ?> map) {
            return map.entrySet().stream()
                    .map(member -> member.getKey() + ":" + plain(member.getValue()))
                    .collect(Collectors.joining(" ", "map[", "]"));
        }
        return value == null ? "<no value>" : value.toString();
    }
}
