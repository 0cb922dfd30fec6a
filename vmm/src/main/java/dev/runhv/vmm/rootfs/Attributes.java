package dev.runhv.vmm.rootfs;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.tar.TarEntry;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What every file has.
 *
 * @param mode permission bits, {@code 07777}
 * @param uid unsigned
 * @param gid unsigned
 * @param xattrs values by full name
 */
record Attributes(int mode, int uid, int gid, long mtimeSeconds, int mtimeNanos, SortedMap<String, byte[]> xattrs) {
    private static final SortedMap<String, byte[]> NO_XATTRS = new TreeMap<>();

    /** A directory that a layer implies without having an entry for it. */
    static final Attributes IMPLIED_DIRECTORY = new Attributes(0755, 0, 0, 0, 0, NO_XATTRS);

    static Attributes of(TarEntry entry) throws CorruptInputException {
        return new Attributes(
                entry.type() == TarEntry.Type.SYMBOLIC_LINK ? 0777 : entry.mode(), // Linux has no other there
                id(entry.uid(), "owner"),
                id(entry.gid(), "group"),
                entry.mtimeSeconds(),
                entry.mtimeNanos(),
                xattrs(entry.xattrs()));
    }

    /** What the extended attributes cost in memory. */
    long xattrBytes() {
        long bytes = 0;
        for (Map.Entry<String, byte[]> xattr : xattrs.entrySet()) {
            bytes += xattr.getKey().length() + xattr.getValue().length + RootfsLimits.XATTR_OVERHEAD;
        }
        return bytes;
    }

    private static int id(long id, String what) throws CorruptInputException {
        // -1 means "leave as it is" to chown and can be nobody's number.
        if (id < 0 || id >= 0xffff_ffffL) {
            throw new CorruptInputException("the " + what + " " + id + " is out of the range of Linux");
        }
        return (int) id;
    }

    private static SortedMap<String, byte[]> xattrs(Map<String, byte[]> all) throws CorruptInputException {
        if (all.isEmpty()) {
            return NO_XATTRS;
        }
        SortedMap<String, byte[]> kept = new TreeMap<>();
        long bytes = 0;
        for (Map.Entry<String, byte[]> xattr : all.entrySet()) {
            // The guest's overlay would take these for its own: redirects and whiteouts that an image chose.
            if (xattr.getKey().startsWith("trusted.overlay.") || !ErofsXattrs.canHold(xattr.getKey())) {
                continue;
            }
            bytes += xattr.getKey().length() + xattr.getValue().length;
            if (bytes > RootfsLimits.XATTR_BYTES || xattr.getValue().length > 0xffff) {
                throw new CorruptInputException(
                        "its extended attributes have more than %d bytes".formatted(RootfsLimits.XATTR_BYTES));
            }
            kept.put(xattr.getKey(), xattr.getValue());
        }
        return kept;
    }
}
