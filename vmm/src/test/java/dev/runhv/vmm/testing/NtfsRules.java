package dev.runhv.vmm.testing;

import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.nio.channels.Channel;
import java.nio.channels.FileChannel;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.AccessMode;
import java.nio.file.CopyOption;
import java.nio.file.DirectoryStream;
import java.nio.file.FileStore;
import java.nio.file.FileSystem;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.nio.file.WatchEvent;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.DosFileAttributeView;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.FileAttributeView;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.UserPrincipalLookupService;
import java.nio.file.spi.FileSystemProvider;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * A folder of the host as a file system with the rules of NTFS, as the JDK has them on Windows: names that differ by case are
 * one name, some are reserved; no open file is replaced, and one that is deleted while it is open keeps its name until it is
 * closed. A judge of what the store does on Windows, where there is none; what it does not know is what a {@link File} opens.
 */
public final class NtfsRules extends FileSystemProvider {
    private static final Pattern RESERVED = Pattern.compile("(con|prn|aux|nul|com[1-9]|lpt[1-9])(\\..*)?");
    private static final Pattern FORBIDDEN = Pattern.compile(".*[<>:\"\\\\|?*\\x00-\\x1f].*|.*[. ]");
    private static final int NAME_CHARACTERS = 255;

    private final Path folder;
    private final Volume volume = new Volume();
    /** Files by the host's paths, with what was opened of each. */
    private final Map<Path, List<Channel>> open = new HashMap<>();
    /** Deleted, and open still. */
    private final Set<Path> going = new HashSet<>();

    private String held; // null: nothing

    private Runnable onRefusal = () -> {};
    private int refusals;

    /** @param folder of the host, which is the root of this file system */
    public NtfsRules(Path folder) {
        this.folder = folder;
    }

    /** @param path absolute, with slashes */
    public Path path(String path) {
        return new Shown(Path.of(path));
    }

    /** What happens when somebody was refused because a file is open: the other one may let go of it. */
    public synchronized void onRefusal(Runnable act) {
        onRefusal = act;
    }

    /** How often somebody was refused because a file is open. */
    public synchronized int refusals() {
        return refusals;
    }

    /**
     * A scanner has files to itself from when they are written: they are neither renamed nor deleted.
     *
     * @param suffix of their names; null: it lets go of all
     */
    public synchronized void hold(String suffix) {
        held = suffix;
    }

    private boolean isHeld(Path path) {
        return held != null && path.toString().endsWith(held);
    }

    private Path host(Path path) {
        Path shown = ((Shown) path).path.toAbsolutePath().normalize();
        Path host = folder;
        for (Path name : shown) {
            host = host.resolve(name.toString().toLowerCase(Locale.ROOT));
        }
        return host;
    }

    private static void requireName(Path path) throws FileSystemException {
        Path last = path.getFileName();
        String name = last == null ? "" : last.toString().toLowerCase(Locale.ROOT);
        if (RESERVED.matcher(name).matches() || FORBIDDEN.matcher(name).matches() || name.length() > NAME_CHARACTERS) {
            throw new FileSystemException(
                    path.toString(), null, "The filename, directory name, or volume label syntax is incorrect");
        }
    }

    /** Whether anybody has it open; what was deleted and is no more open goes first. */
    private boolean isOpen(Path host) throws IOException {
        for (Iterator<Path> each = going.iterator(); each.hasNext(); ) {
            Path deleted = each.next();
            if (channels(deleted).isEmpty()) {
                Files.delete(deleted);
                each.remove();
            }
        }
        return !channels(host).isEmpty();
    }

    private List<Channel> channels(Path host) {
        List<Channel> channels = open.getOrDefault(host, new ArrayList<>());
        channels.removeIf(channel -> !channel.isOpen());
        return channels;
    }

    private AccessDeniedException refused(Path path) {
        return refused(new AccessDeniedException(path.toString()));
    }

    private <E extends FileSystemException> E refused(E refusal) {
        refusals++;
        onRefusal.run();
        return refusal;
    }

    /** @return where it is on the host, for who opens, makes or names it */
    private Path reached(Path path) throws IOException {
        Path host = host(path);
        isOpen(host);
        if (going.contains(host)) {
            throw refused(path);
        }
        return host;
    }

    /** @return where it is on the host, for who looks whether it is there */
    private Path seen(Path path) throws IOException {
        Path host = host(path);
        isOpen(host);
        if (going.contains(host)) {
            throw new AccessDeniedException(path.toString());
        }
        return host;
    }

    private <C extends Channel> C opened(Path host, C channel) {
        open.computeIfAbsent(host, key -> new ArrayList<>()).add(channel);
        return channel;
    }

    @Override
    public synchronized FileChannel newFileChannel(
            Path path, Set<? extends OpenOption> options, FileAttribute<?>... attributes) throws IOException {
        requireName(path);
        Path host = reached(path);
        if (Files.isDirectory(host)) {
            throw new AccessDeniedException(path.toString());
        }
        return opened(host, FileChannel.open(host, options, attributes));
    }

    @Override
    public synchronized SeekableByteChannel newByteChannel(
            Path path, Set<? extends OpenOption> options, FileAttribute<?>... attributes) throws IOException {
        return newFileChannel(path, options, attributes);
    }

    @Override
    public synchronized void move(Path source, Path target, CopyOption... options) throws IOException {
        requireName(target);
        Path from = reached(source);
        Path to = reached(target);
        if (isHeld(source)) {
            throw refused(source);
        }
        if (isOpen(to)) {
            throw refused(target);
        }
        Files.move(from, to, options);
        // Who has it open has it by its new name.
        List<Channel> channels = open.remove(from);
        if (channels != null) {
            open.put(to, channels);
        }
    }

    @Override
    public synchronized void delete(Path path) throws IOException {
        Path host = reached(path);
        if (isHeld(path)) {
            throw refused(new FileSystemException(path.toString(), null, "It is being used by another process"));
        }
        if (isOpen(host)) {
            going.add(host);
        } else {
            Files.delete(host);
        }
    }

    @Override
    public synchronized void createDirectory(Path path, FileAttribute<?>... attributes) throws IOException {
        requireName(path);
        Files.createDirectory(reached(path), attributes);
    }

    @Override
    public void copy(Path source, Path target, CopyOption... options) {
        throw new UnsupportedOperationException();
    }

    @Override
    public DirectoryStream<Path> newDirectoryStream(Path path, DirectoryStream.Filter<? super Path> filter)
            throws IOException {
        List<Path> found = new ArrayList<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(host(path))) {
            for (Path entry : entries) {
                Path shown = path.resolve(entry.getFileName().toString());
                if (filter.accept(shown)) {
                    found.add(shown);
                }
            }
        }
        return new DirectoryStream<>() {
            @Override
            public Iterator<Path> iterator() {
                return found.iterator();
            }

            @Override
            public void close() {}
        };
    }

    @Override
    public boolean isSameFile(Path one, Path other) throws IOException {
        return Files.isSameFile(host(one), host(other));
    }

    @Override
    public boolean isHidden(Path path) {
        return false;
    }

    @Override
    public FileStore getFileStore(Path path) throws IOException {
        return Files.getFileStore(host(path));
    }

    @Override
    public synchronized void checkAccess(Path path, AccessMode... modes) throws IOException {
        Path host = seen(path);
        host.getFileSystem().provider().checkAccess(host, modes);
    }

    @Override
    public <V extends FileAttributeView> V getFileAttributeView(Path path, Class<V> type, LinkOption... options) {
        return type == PosixFileAttributeView.class || type == DosFileAttributeView.class
                ? null
                : Files.getFileAttributeView(host(path), type, options);
    }

    @Override
    public synchronized <A extends BasicFileAttributes> A readAttributes(
            Path path, Class<A> type, LinkOption... options) throws IOException {
        return Files.readAttributes(seen(path), type, options);
    }

    @Override
    public Map<String, Object> readAttributes(Path path, String attributes, LinkOption... options) throws IOException {
        return Files.readAttributes(host(path), attributes, options);
    }

    @Override
    public void setAttribute(Path path, String attribute, Object value, LinkOption... options) throws IOException {
        Files.setAttribute(host(path), attribute, value, options);
    }

    @Override
    public String getScheme() {
        return "ntfs-rules";
    }

    @Override
    public FileSystem newFileSystem(URI uri, Map<String, ?> environment) {
        throw new UnsupportedOperationException();
    }

    @Override
    public FileSystem getFileSystem(URI uri) {
        return volume;
    }

    @Override
    public Path getPath(URI uri) {
        return path(uri.getPath());
    }

    private final class Volume extends FileSystem {
        @Override
        public FileSystemProvider provider() {
            return NtfsRules.this;
        }

        @Override
        public Set<String> supportedFileAttributeViews() {
            return Set.of("basic", "dos", "acl", "owner", "user");
        }

        @Override
        public Path getPath(String first, String... more) {
            return new Shown(Path.of(first, more));
        }

        @Override
        public PathMatcher getPathMatcher(String pattern) {
            PathMatcher matcher = folder.getFileSystem().getPathMatcher(pattern.toLowerCase(Locale.ROOT));
            return path -> matcher.matches(Path.of(path.toString().toLowerCase(Locale.ROOT)));
        }

        @Override
        public Iterable<Path> getRootDirectories() {
            return List.of(path("/"));
        }

        @Override
        public Iterable<FileStore> getFileStores() {
            return folder.getFileSystem().getFileStores();
        }

        @Override
        public String getSeparator() {
            return "/";
        }

        @Override
        public boolean isOpen() {
            return true;
        }

        @Override
        public boolean isReadOnly() {
            return false;
        }

        @Override
        public UserPrincipalLookupService getUserPrincipalLookupService() {
            throw new UnsupportedOperationException();
        }

        @Override
        public WatchService newWatchService() {
            throw new UnsupportedOperationException();
        }

        @Override
        public void close() {
            throw new UnsupportedOperationException();
        }
    }

    /** A path as programs have it: with the case that they wrote, which makes no difference. */
    private final class Shown implements Path {
        private final Path path;

        Shown(Path path) {
            this.path = path;
        }

        private Path shown(Path other) {
            return other == null ? null : new Shown(other);
        }

        private Path of(Path other) {
            return ((Shown) other).path;
        }

        private String folded() {
            return path.toString().toLowerCase(Locale.ROOT);
        }

        @Override
        public FileSystem getFileSystem() {
            return volume;
        }

        @Override
        public boolean isAbsolute() {
            return path.isAbsolute();
        }

        @Override
        public Path getRoot() {
            return shown(path.getRoot());
        }

        @Override
        public Path getFileName() {
            return shown(path.getFileName());
        }

        @Override
        public Path getParent() {
            return shown(path.getParent());
        }

        @Override
        public int getNameCount() {
            return path.getNameCount();
        }

        @Override
        public Path getName(int index) {
            return shown(path.getName(index));
        }

        @Override
        public Path subpath(int begin, int end) {
            return shown(path.subpath(begin, end));
        }

        @Override
        public boolean startsWith(Path other) {
            return other instanceof Shown shown && Path.of(folded()).startsWith(Path.of(shown.folded()));
        }

        @Override
        public boolean endsWith(Path other) {
            return other instanceof Shown shown && Path.of(folded()).endsWith(Path.of(shown.folded()));
        }

        @Override
        public Path normalize() {
            return shown(path.normalize());
        }

        @Override
        public Path resolve(Path other) {
            return shown(path.resolve(of(other)));
        }

        @Override
        public Path resolve(String other) {
            // As the JDK on Windows: no such path can be written down.
            if (other.indexOf(':') >= 0) {
                throw new InvalidPathException(other, "Illegal char <:>");
            }
            return shown(path.resolve(other));
        }

        @Override
        public Path relativize(Path other) {
            return shown(path.relativize(of(other)));
        }

        @Override
        public URI toUri() {
            return URI.create(getScheme() + "://" + path);
        }

        @Override
        public Path toAbsolutePath() {
            return shown(Path.of("/").resolve(path));
        }

        @Override
        public Path toRealPath(LinkOption... options) throws IOException {
            if (!Files.exists(host(this))) {
                throw new NoSuchFileException(toString());
            }
            return shown(Path.of("/").resolve(path).normalize());
        }

        @Override
        public File toFile() {
            return host(this).toFile();
        }

        @Override
        public WatchKey register(WatchService watcher, WatchEvent.Kind<?>[] events, WatchEvent.Modifier... modifiers) {
            throw new UnsupportedOperationException();
        }

        @Override
        public int compareTo(Path other) {
            return folded().compareTo(((Shown) other).folded());
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Shown shown && shown.getFileSystem() == volume && folded().equals(shown.folded());
        }

        @Override
        public int hashCode() {
            return folded().hashCode();
        }

        @Override
        public String toString() {
            return path.toString();
        }
    }
}
