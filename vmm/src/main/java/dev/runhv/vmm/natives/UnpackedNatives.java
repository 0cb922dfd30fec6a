package dev.runhv.vmm.natives;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.StoreLock;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Unpacks native files once, for every program of the user that has the same ones: a folder named after their digest,
 * which is there whole or not at all.
 */
public final class UnpackedNatives {
    private static final String PROPERTY = "runhv.natives";
    private static final String PROGRAMS = "bin/";
    private static final String UNFINISHED = ".new";

    private final Path folder;
    private final NativeParts parts;

    UnpackedNatives(Path folder, NativeParts parts) {
        this.folder = folder;
        this.parts = parts;
    }

    /**
     * Unpacks those of this program's jars, unless they are.
     *
     * @return the root of a distribution; empty where no jar has programs for this host
     * @throws RunhvException where the host does not let it be, with what to do
     */
    public static Optional<Path> find() {
        try {
            NativeParts parts = NativeParts.find();
            if (parts.entries().stream().noneMatch(entry -> entry.path().startsWith(PROGRAMS))) {
                return Optional.empty();
            }
            return Optional.of(
                    new UnpackedNatives(folder(System.getProperty(PROPERTY, ""), System.getenv()), parts).home());
        } catch (IOException e) {
            throw Failures.of("read the native files of runhv's jars", e);
        }
    }

    /** The platform of this host, as the artifacts call it. */
    public static String platform() {
        return NativeParts.platform();
    }

    static Path folder(String property, Map<String, String> environment) {
        if (!property.isEmpty()) {
            return Path.of(property).toAbsolutePath();
        }
        String cache = environment.getOrDefault("XDG_CACHE_HOME", "");
        // XDG base directories 0.8: a relative path is invalid and to be ignored.
        Path caches = !cache.isEmpty() && Path.of(cache).isAbsolute()
                ? Path.of(cache)
                : Path.of(System.getProperty("user.home"), ".cache");
        if (!caches.isAbsolute()) {
            throw RunhvException.of(
                    ErrorCode.NOT_FOUND,
                    "find a folder for the native files of runhv",
                    "This user has no home: -D" + PROPERTY + "=DIR or XDG_CACHE_HOME names a folder",
                    null,
                    null);
        }
        return caches.resolve("runhv/natives");
    }

    Path home() {
        Path home = folder.resolve(parts.digest().hex());
        List<NativeParts.Entry> entries = parts.entries();
        try {
            make(home, entries);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw RunhvException.of(ErrorCode.HOST_FAILED, operation(), "The thread was interrupted", null, e);
        }
        for (NativeParts.Entry entry : entries) {
            if (entry.path().startsWith(PROGRAMS) && !Files.isExecutable(home.resolve(entry.path()))) {
                throw denied("Its file system lets no program run (mount option noexec)");
            }
        }
        return home;
    }

    private String operation() {
        return "unpack the native files of runhv into " + folder + " (-D" + PROPERTY + "=DIR names another folder)";
    }

    private RunhvException denied(String detail) {
        return RunhvException.of(ErrorCode.ACCESS_DENIED, operation(), detail, null, null);
    }

    private void make(Path home, List<NativeParts.Entry> entries) throws InterruptedException {
        try {
            makeFolder();
            if (!Files.isDirectory(home)) {
                unpack(home, entries);
            }
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of(operation(), e);
        }
    }

    /** Whoever could write here could have their programs run by this user. */
    private void makeFolder() throws IOException {
        Files.createDirectories(folder.getParent());
        try {
            Files.createDirectory(
                    folder, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        } catch (FileAlreadyExistsException e) {
            if (!Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS)) {
                throw e;
            }
        }
        Object owner = Files.getAttribute(folder, "unix:uid", LinkOption.NOFOLLOW_LINKS);
        int mode = (int) Files.getAttribute(folder, "unix:mode", LinkOption.NOFOLLOW_LINKS);
        if (!owner.equals(Files.getAttribute(Path.of("/proc/self"), "unix:uid"))) {
            throw denied("The folder is another user's");
        }
        if ((mode & 077) != 0) {
            throw denied("Other users may enter the folder: chmod 700 closes it");
        }
    }

    private void unpack(Path home, List<NativeParts.Entry> entries) throws IOException, InterruptedException {
        try (StoreLock _ = StoreLock.acquire(folder, "unpack")) {
            if (Files.isDirectory(home)) {
                return;
            }
            // Only who holds the lock makes any: what is there is of the dead.
            try (DirectoryStream<Path> unfinished = Files.newDirectoryStream(folder, "*" + UNFINISHED)) {
                for (Path path : unfinished) {
                    delete(path);
                }
            }
            Path made = folder.resolve(home.getFileName() + UNFINISHED);
            try {
                for (NativeParts.Entry entry : entries) {
                    copy(entry, made.resolve(entry.path()));
                }
                Files.move(made, home, StandardCopyOption.ATOMIC_MOVE);
            } catch (IOException | RuntimeException e) {
                try {
                    delete(made);
                } catch (IOException again) {
                    e.addSuppressed(again);
                }
                throw e;
            }
        }
    }

    private static void copy(NativeParts.Entry entry, Path target) throws IOException {
        Files.createDirectories(target.getParent());
        MessageDigest sha256 = Digest.Algorithm.SHA256.newMessageDigest();
        try (FileChannel file = FileChannel.open(target, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
                InputStream from = entry.files().open(entry.path());
                OutputStream to = new DigestOutputStream(Channels.newOutputStream(file), sha256)) {
            from.transferTo(to);
            // The folder gets its name when its files are on disk.
            file.force(true);
        }
        if (!Digest.of(Digest.Algorithm.SHA256, sha256).equals(entry.digest())) {
            throw NativeParts.damaged(entry.files(), entry.path() + " is not what its list says");
        }
        Files.setPosixFilePermissions(
                target, PosixFilePermissions.fromString(entry.path().startsWith(PROGRAMS) ? "rwxr-xr-x" : "rw-r--r--"));
    }

    private static void delete(Path tree) throws IOException {
        if (!Files.exists(tree, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        List<Path> paths;
        try (Stream<Path> walk = Files.walk(tree)) {
            paths = walk.toList();
        }
        for (Path path : paths.reversed()) {
            Files.delete(path);
        }
    }
}
