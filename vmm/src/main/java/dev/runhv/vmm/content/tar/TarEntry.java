package dev.runhv.vmm.content.tar;

import java.util.Map;

/**
 * The header of one member of a tar, all extensions applied. Names are byte strings, see the package.
 *
 * @param name never empty, as it stands in the archive: perhaps absolute, with dots or a trailing slash
 * @param linkName the target of a hard or symbolic link; else empty
 * @param mode permission bits with setuid, setgid and sticky, no type: {@code 07777}
 * @param size of the file as it will be seen, holes included
 * @param mtimeSeconds since 1970, may be negative
 * @param sparse where the stored data belongs; {@link Sparse#NONE} where it is simply the file
 * @param xattrs values by full name, {@code security.capability} for instance
 */
public record TarEntry(
        Type type,
        String name,
        String linkName,
        int mode,
        long uid,
        long gid,
        long size,
        long mtimeSeconds,
        int mtimeNanos,
        int deviceMajor,
        int deviceMinor,
        Sparse sparse,
        Map<String, byte[]> xattrs) {

    public enum Type {
        FILE,
        HARD_LINK,
        SYMBOLIC_LINK,
        CHARACTER_DEVICE,
        BLOCK_DEVICE,
        DIRECTORY,
        FIFO
    }
}
