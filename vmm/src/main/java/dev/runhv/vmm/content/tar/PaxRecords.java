package dev.runhv.vmm.content.tar;

import dev.runhv.vmm.content.CorruptInputException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The records of one extended header (POSIX.1-2017 pax, "pax Extended Header"), with the extensions of GNU and star. */
final class PaxRecords {
    static final PaxRecords NONE = new PaxRecords();

    private static final String SCHILY_XATTR = "SCHILY.xattr.";
    private static final String LIBARCHIVE_XATTR = "LIBARCHIVE.xattr.";

    private final Map<String, String> values = new LinkedHashMap<>();
    private final Map<String, byte[]> xattrs = new TreeMap<>();
    /** GNU sparse format 0.0 repeats its two keywords: the only records whose order matters. */
    private final List<Long> sparseNumbers = new ArrayList<>();

    static PaxRecords parse(byte[] data) throws CorruptInputException {
        PaxRecords records = new PaxRecords();
        int position = 0;
        while (position < data.length) {
            int space = position;
            int length = 0;
            while (space < data.length && data[space] >= '0' && data[space] <= '9' && length < 1 << 24) {
                length = length * 10 + data[space] - '0';
                space++;
            }
            int end = position + length;
            if (space == position
                    || space >= data.length
                    || data[space] != ' '
                    || length < space - position + 3
                    || length > data.length - position
                    || data[end - 1] != '\n') {
                throw new CorruptInputException("a PAX header has a malformed record");
            }
            int equals = space + 1;
            while (equals < end && data[equals] != '=') {
                equals++;
            }
            if (equals == end || equals == space + 1) {
                throw new CorruptInputException("a PAX header has a record without a keyword or a value");
            }
            String keyword = latin1(data, space + 1, equals);
            records.put(keyword, latin1(data, equals + 1, end - 1));
            position = end;
        }
        return records;
    }

    // An empty value takes back what an earlier record of the keyword says.
    private void put(String keyword, String value) throws CorruptInputException {
        if (value.isEmpty()) {
            values.remove(keyword);
            if (keyword.startsWith(SCHILY_XATTR)) {
                xattrs.remove(keyword.substring(SCHILY_XATTR.length()));
            } else if (keyword.startsWith(LIBARCHIVE_XATTR)) {
                xattrs.remove(percentDecoded(keyword.substring(LIBARCHIVE_XATTR.length())));
            }
        } else if (keyword.startsWith(SCHILY_XATTR)) {
            xattrs.put(xattrName(keyword.substring(SCHILY_XATTR.length())), bytes(value));
        } else if (keyword.startsWith(LIBARCHIVE_XATTR)) {
            // bsdtar writes both; the other one is exact, this one has its name and value encoded.
            xattrs.putIfAbsent(xattrName(percentDecoded(keyword.substring(LIBARCHIVE_XATTR.length()))), base64(value));
        } else if (keyword.equals("GNU.sparse.offset") || keyword.equals("GNU.sparse.numbytes")) {
            boolean offset = keyword.equals("GNU.sparse.offset");
            if (offset != (sparseNumbers.size() % 2 == 0) || sparseNumbers.size() >= 2 * TarLimits.SPARSE_PIECES) {
                throw new CorruptInputException("the map of a sparse file is out of order or too long");
            }
            sparseNumbers.add(number(keyword, value));
        } else {
            if (value.indexOf('\0') >= 0) {
                throw new CorruptInputException("a PAX header has a NUL in " + printable(keyword));
            }
            values.put(keyword, value);
        }
    }

    Map<String, byte[]> xattrs() {
        return xattrs;
    }

    /** The value; empty where there is none, which is also how PAX says "forget it". */
    String text(String keyword) {
        return values.getOrDefault(keyword, "");
    }

    boolean has(String keyword) {
        return !text(keyword).isEmpty();
    }

    long number(String keyword, long absent) throws CorruptInputException {
        return has(keyword) ? number(keyword, text(keyword)) : absent;
    }

    /** Formats 0.0 and 0.1; empty where the header has no map. */
    long[] sparseMap() throws CorruptInputException {
        if (has("GNU.sparse.map")) {
            String[] parts = text("GNU.sparse.map").split(",", -1);
            if (parts.length % 2 != 0 || parts.length > 2 * TarLimits.SPARSE_PIECES) {
                throw new CorruptInputException("the map of a sparse file is malformed or too long");
            }
            long[] map = new long[parts.length];
            for (int i = 0; i < parts.length; i++) {
                map[i] = number("GNU.sparse.map", parts[i]);
            }
            return map;
        }
        if (sparseNumbers.size() % 2 != 0) {
            throw new CorruptInputException("the map of a sparse file is malformed");
        }
        return sparseNumbers.stream().mapToLong(Long::longValue).toArray();
    }

    /** Seconds rounded down and nanoseconds 0..999,999,999 of a decimal like -1.25. */
    long[] time(String keyword) throws CorruptInputException {
        String value = text(keyword);
        int dot = value.indexOf('.');
        String whole = dot < 0 ? value : value.substring(0, dot);
        String fraction = dot < 0 ? "" : value.substring(dot + 1);
        boolean negative = whole.startsWith("-");
        long seconds = signed(keyword, whole.equals("-") || whole.isEmpty() ? whole + "0" : whole);
        if (!fraction.chars().allMatch(c -> c >= '0' && c <= '9')) {
            throw malformed(keyword);
        }
        int nanos = Integer.parseInt((fraction + "000000000").substring(0, 9));
        if (negative && nanos != 0) {
            return new long[] {seconds - 1, 1_000_000_000 - nanos};
        }
        return new long[] {seconds, nanos};
    }

    static long number(String keyword, String value) throws CorruptInputException {
        long number = signed(keyword, value);
        if (number < 0) {
            throw malformed(keyword);
        }
        return number;
    }

    private static long signed(String keyword, String value) throws CorruptInputException {
        try {
            return Long.parseLong(value);
        } catch (NumberFormatException e) {
            throw new CorruptInputException("a PAX header's " + printable(keyword) + " is not a number", e);
        }
    }

    private static CorruptInputException malformed(String keyword) {
        return new CorruptInputException("a PAX header's " + printable(keyword) + " is malformed");
    }

    private static String xattrName(String name) throws CorruptInputException {
        if (name.isEmpty() || name.indexOf('\0') >= 0 || name.length() > 255) {
            throw new CorruptInputException("an extended attribute's name is empty, too long or has a NUL");
        }
        return name;
    }

    private static byte[] base64(String value) throws CorruptInputException {
        try {
            // libarchive leaves the padding out; the decoder takes both.
            return Base64.getDecoder().decode(bytes(value.strip()));
        } catch (IllegalArgumentException e) {
            throw new CorruptInputException("an extended attribute's value is not base64", e);
        }
    }

    private static String percentDecoded(String text) {
        StringBuilder decoded = new StringBuilder(text.length());
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '%' && i + 2 < text.length()) {
                int high = Character.digit(text.charAt(i + 1), 16);
                int low = Character.digit(text.charAt(i + 2), 16);
                if (high >= 0 && low >= 0) {
                    c = (char) (high << 4 | low);
                    i += 2;
                }
            }
            decoded.append(c);
        }
        return decoded.toString();
    }

    private static String printable(String keyword) {
        return keyword.length() <= 64 && keyword.chars().allMatch(c -> c > ' ' && c < 127) ? keyword : "record";
    }

    private static String latin1(byte[] data, int from, int to) {
        return new String(data, from, to - from, StandardCharsets.ISO_8859_1);
    }

    private static byte[] bytes(String value) {
        return value.getBytes(StandardCharsets.ISO_8859_1);
    }
}
