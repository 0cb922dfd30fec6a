package dev.runhv.api;

import java.time.Instant;
import java.util.Collections;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * A file, folder or link of a file system that is to be written, see {@link Images#writeErofs(java.util.List,
 * java.nio.file.Path)}. What is not said is root's, of 1970, and for its owner to write and for all to read. Never changes.
 */
public final class TreeEntry {
    /** What an entry is. */
    public enum Type {
        /** A regular file. */
        FILE,
        /** A folder. */
        DIRECTORY,
        /** A path that is followed where it is used. */
        SYMBOLIC_LINK,
        /** One more name of a file that was named before. */
        HARD_LINK,
        /** A device of characters. */
        CHARACTER_DEVICE,
        /** A device of blocks. */
        BLOCK_DEVICE,
        /** A named pipe. */
        FIFO
    }

    private final Type type;
    private final String path;
    private final String target;
    private final @Nullable FileContent content;
    private final int major;
    private final int minor;
    private final int mode;
    private final long uid;
    private final long gid;
    private final Instant modified;
    private final Map<String, byte[]> xattrs;

    private TreeEntry(Builder builder) {
        type = builder.type;
        path = builder.path;
        target = builder.target;
        content = builder.content;
        major = builder.major;
        minor = builder.minor;
        mode = builder.mode;
        uid = builder.uid;
        gid = builder.gid;
        modified = builder.modified;
        xattrs = Collections.unmodifiableMap(new TreeMap<>(builder.xattrs));
    }

    /**
     * Starts to describe a regular file.
     *
     * @param path from the root; folders on the way that no entry names are made
     * @param content that it has
     * @return with the mode 0644
     */
    public static Builder file(String path, FileContent content) {
        Builder builder = new Builder(Type.FILE, path, 0644);
        builder.content = Objects.requireNonNull(content, "content");
        return builder;
    }

    /**
     * Starts to describe a folder.
     *
     * @param path from the root; {@code /} is the root itself
     * @return with the mode 0755
     */
    public static Builder directory(String path) {
        return new Builder(Type.DIRECTORY, path, 0755);
    }

    /**
     * Starts to describe a symbolic link.
     *
     * @param path from the root
     * @param target as it is written into the link
     * @return with the mode 0777
     */
    public static Builder symbolicLink(String path, String target) {
        Builder builder = new Builder(Type.SYMBOLIC_LINK, path, 0777);
        builder.target = Objects.requireNonNull(target, "target");
        return builder;
    }

    /**
     * Starts to describe one more name of a file.
     *
     * @param path from the root
     * @param target the path of an entry before this one, which is no folder; mode, owner and so on are that one's
     * @return with nothing else to say
     */
    public static Builder hardLink(String path, String target) {
        Builder builder = new Builder(Type.HARD_LINK, path, 0644);
        builder.target = Objects.requireNonNull(target, "target");
        return builder;
    }

    /**
     * Starts to describe a device.
     *
     * @param type {@link Type#CHARACTER_DEVICE} or {@link Type#BLOCK_DEVICE}
     * @param path from the root
     * @param major number, from 0 to 4095
     * @param minor number, from 0 to 1048575
     * @return with the mode 0600
     * @throws RequestException for another type, or where a number is out of its range
     */
    public static Builder device(Type type, String path, int major, int minor) {
        SpecCheck.require(
                type == Type.CHARACTER_DEVICE || type == Type.BLOCK_DEVICE, OPERATION, type + " is no type of device");
        SpecCheck.range(OPERATION, "major number", major, 0, 4095);
        SpecCheck.range(OPERATION, "minor number", minor, 0, 1048575);
        Builder builder = new Builder(type, path, 0600);
        builder.major = major;
        builder.minor = minor;
        return builder;
    }

    /**
     * Starts to describe a named pipe.
     *
     * @param path from the root
     * @return with the mode 0644
     */
    public static Builder fifo(String path) {
        return new Builder(Type.FIFO, path, 0644);
    }

    private static final String OPERATION = "describe an entry of a file system";

    /**
     * What it is.
     *
     * @return the type
     */
    public Type type() {
        return type;
    }

    /**
     * Where it is.
     *
     * @return from the root
     */
    public String path() {
        return path;
    }

    /**
     * Where a link leads.
     *
     * @return empty for what is no link
     */
    public String target() {
        return target;
    }

    /**
     * The content of a regular file.
     *
     * @return empty for what is none
     */
    public Optional<FileContent> content() {
        return Optional.ofNullable(content);
    }

    /**
     * The major number of a device.
     *
     * @return 0 for what is none
     */
    public int major() {
        return major;
    }

    /**
     * The minor number of a device.
     *
     * @return 0 for what is none
     */
    public int minor() {
        return minor;
    }

    /**
     * Permissions, with set-user-ID, set-group-ID and the sticky bit.
     *
     * @return of {@code 07777}
     */
    public int mode() {
        return mode;
    }

    /**
     * The owner.
     *
     * @return a number
     */
    public long uid() {
        return uid;
    }

    /**
     * The group.
     *
     * @return a number
     */
    public long gid() {
        return gid;
    }

    /**
     * When it was changed.
     *
     * @return in nanoseconds
     */
    public Instant modified() {
        return modified;
    }

    /**
     * The extended attributes.
     *
     * @return values by their full names; not to be changed
     */
    public Map<String, byte[]> xattrs() {
        return xattrs;
    }

    /** Collects what is said about an entry. Not for several threads. */
    public static final class Builder {
        private final Type type;
        private final String path;
        private String target = "";
        private @Nullable FileContent content;
        private int major;
        private int minor;
        private int mode;
        private long uid;
        private long gid;
        private Instant modified = Instant.EPOCH;
        private final Map<String, byte[]> xattrs = new TreeMap<>();

        private Builder(Type type, String path, int mode) {
            SpecCheck.text(OPERATION, "path", path);
            this.type = type;
            this.path = path;
            this.mode = mode;
        }

        /**
         * Permissions.
         *
         * @param mode of {@code 07777}
         * @return this
         * @throws RequestException where there are other bits
         */
        public Builder mode(int mode) {
            SpecCheck.require((mode & ~07777) == 0, OPERATION, "The mode 0%o has bits beyond 07777".formatted(mode));
            this.mode = mode;
            return this;
        }

        /**
         * Owner and group.
         *
         * @param uid from 0 to 4294967294
         * @param gid from 0 to 4294967294
         * @return this
         * @throws RequestException where one is out of its range
         */
        public Builder owner(long uid, long gid) {
            SpecCheck.range(OPERATION, "owner", uid, 0, 4294967294L);
            SpecCheck.range(OPERATION, "group", gid, 0, 4294967294L);
            this.uid = uid;
            this.gid = gid;
            return this;
        }

        /**
         * When it was changed.
         *
         * @param time of any year
         * @return this
         */
        public Builder modified(Instant time) {
            modified = Objects.requireNonNull(time, "time");
            return this;
        }

        /**
         * An extended attribute.
         *
         * @param name in full, {@code security.capability} for instance
         * @param value copied
         * @return this
         */
        public Builder xattr(String name, byte[] value) {
            xattrs.put(Objects.requireNonNull(name, "name"), value.clone());
            return this;
        }

        /**
         * Ends the description.
         *
         * @return what was said
         */
        public TreeEntry build() {
            return new TreeEntry(this);
        }
    }
}
