package dev.runhv.vmm.registry;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * How a registry wants to be asked: one of the challenges of {@code WWW-Authenticate} (RFC 9110 §11.6.1).
 *
 * @param scheme in lower case
 * @param parameters by name in lower case; the first of two of one name
 */
record Challenge(String scheme, Map<String, String> parameters) {
    /** What can be read of a header's values, up to what cannot. */
    static List<Challenge> parse(List<String> values) {
        List<Challenge> all = new ArrayList<>();
        for (String value : values) {
            new Scanner(value).readInto(all);
        }
        return all;
    }

    String parameter(String name) {
        return parameters.getOrDefault(name, "");
    }

    private static final class Scanner {
        private final String text;
        private int at;

        Scanner(String text) {
            this.text = text;
        }

        void readInto(List<Challenge> all) {
            Challenge current = null;
            boolean afterScheme = false;
            while (true) {
                boolean comma = skip(" \t,");
                String name = word();
                if (name.isEmpty()) {
                    return;
                }
                skip(" \t");
                if (peek() == '=' && current != null) {
                    at++;
                    if (peek() == '=' || peek() == ',' || at == text.length()) {
                        skip("="); // token68, which no scheme of ours has
                    } else {
                        skip(" \t");
                        String value = peek() == '"' ? quoted() : word();
                        if (value == null) {
                            return;
                        }
                        current.parameters.putIfAbsent(name.toLowerCase(Locale.ROOT), value);
                    }
                    afterScheme = false;
                } else if (!afterScheme || comma) {
                    current = new Challenge(name.toLowerCase(Locale.ROOT), new LinkedHashMap<>());
                    all.add(current);
                    afterScheme = true;
                }
            }
        }

        private char peek() {
            return at < text.length() ? text.charAt(at) : 0;
        }

        /** Whether a comma was among what was skipped. */
        private boolean skip(String characters) {
            int from = at;
            while (at < text.length() && characters.indexOf(text.charAt(at)) >= 0) {
                at++;
            }
            return text.substring(from, at).indexOf(',') >= 0;
        }

        /** A token, or as much of a token68. */
        private String word() {
            int from = at;
            while (at < text.length() && isWord(text.charAt(at))) {
                at++;
            }
            return text.substring(from, at);
        }

        private static boolean isWord(char c) {
            return c >= '0' && c <= '9'
                    || c >= 'a' && c <= 'z'
                    || c >= 'A' && c <= 'Z'
                    || c != 0 && "!#$%&'*+-.^_`|~/".indexOf(c) >= 0;
        }

        /** Null where it does not end. */
        private String quoted() {
            StringBuilder value = new StringBuilder();
            for (at++; at < text.length(); at++) {
                char c = text.charAt(at);
                if (c == '"') {
                    at++;
                    return value.toString();
                }
                if (c == '\\' && at + 1 < text.length()) {
                    c = text.charAt(++at);
                }
                value.append(c);
            }
            return null;
        }
    }
}
