package dev.runhv.vmm.rootfs;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.SortedMap;

/** Extended attributes as they follow an inode: a header, then entries whose names begin with a numbered prefix. */
final class ErofsXattrs {
    /** Longer ones first where one begins with the other. */
    private enum Prefix {
        POSIX_ACL_ACCESS(2, "system.posix_acl_access", true),
        POSIX_ACL_DEFAULT(3, "system.posix_acl_default", true),
        USER(1, "user.", false),
        TRUSTED(4, "trusted.", false),
        SECURITY(6, "security.", false);

        private final int index;
        private final String text;
        private final boolean whole;

        Prefix(int index, String text, boolean whole) {
            this.index = index;
            this.text = text;
            this.whole = whole;
        }

        private boolean matches(String name) {
            return whole ? name.equals(text) : name.startsWith(text) && name.length() > text.length();
        }
    }

    private ErofsXattrs() {}

    /** Whether the format has a place for the name; Linux has no other namespaces that files can carry to others. */
    static boolean canHold(String name) {
        return prefix(name) != null;
    }

    /** Bytes of the whole area; 0 without attributes. */
    static int size(SortedMap<String, byte[]> xattrs) {
        if (xattrs.isEmpty()) {
            return 0;
        }
        int size = Erofs.XATTR_HEADER_BYTES;
        for (Map.Entry<String, byte[]> xattr : xattrs.entrySet()) {
            size += entrySize(
                    xattr.getKey().length() - prefix(xattr.getKey()).text.length(), xattr.getValue().length);
        }
        return size;
    }

    /** The size as an inode states it: the header counts as one, each further four bytes as one. */
    static int count(int size) {
        return size == 0 ? 0 : 1 + (size - Erofs.XATTR_HEADER_BYTES) / 4;
    }

    static int sizeOfCount(int count) {
        return count == 0 ? 0 : Erofs.XATTR_HEADER_BYTES + (count - 1) * 4;
    }

    static void write(SortedMap<String, byte[]> xattrs, ByteBuffer out) {
        if (xattrs.isEmpty()) {
            return;
        }
        int start = out.position();
        out.position(start + Erofs.XATTR_HEADER_BYTES);
        for (Map.Entry<String, byte[]> xattr : xattrs.entrySet()) {
            Prefix prefix = prefix(xattr.getKey());
            byte[] name = xattr.getKey().substring(prefix.text.length()).getBytes(StandardCharsets.ISO_8859_1);
            byte[] value = xattr.getValue();
            int next = out.position() + entrySize(name.length, value.length);
            out.put((byte) name.length).put((byte) prefix.index).putShort((short) value.length);
            out.put(name).put(value);
            out.position(next);
        }
    }

    static int entrySize(int nameLength, int valueLength) {
        return (int) Erofs.roundUp(Erofs.XATTR_ENTRY_BYTES + nameLength + valueLength, 4);
    }

    /** The text of a prefix in an image; empty for a number that no attribute of ours has. */
    static String prefixText(int index) {
        for (Prefix prefix : Prefix.values()) {
            if (prefix.index == index) {
                return prefix.text;
            }
        }
        return "";
    }

    private static Prefix prefix(String name) {
        for (Prefix prefix : Prefix.values()) {
            if (prefix.matches(name)) {
                return prefix;
            }
        }
        return null;
    }
}
