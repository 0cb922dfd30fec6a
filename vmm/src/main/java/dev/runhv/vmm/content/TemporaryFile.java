package dev.runhv.vmm.content;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.UUID;

/**
 * A file that is being written in a folder, and that gets its name there when it is complete. Its writer holds a lock on
 * it; a file without the lock belongs to a process that is dead, however it died, and is swept away by the next one.
 */
public final class TemporaryFile implements Closeable {
    private static final String SUFFIX = ".tmp";
    /**
     * Of this JVM, whatever class loaders it has: locks on files are the JVM's, too. A process number alone comes again, in
     * every container, for instance, that shares a store with others.
     */
    private static final String OWNER = "." + ProcessHandle.current().pid() + "-"
            + System.getProperties()
                    .computeIfAbsent("dev.runhv.jvm", name -> UUID.randomUUID().toString())
            + "-";

    private final Path path;
    private final FileChannel channel;
    private boolean moved;

    private TemporaryFile(Path path, FileChannel channel) {
        this.path = path;
        this.channel = channel;
    }

    public static TemporaryFile create(Path folder, String name) throws IOException {
        while (true) {
            Path path = folder.resolve("." + name + OWNER + UUID.randomUUID() + SUFFIX);
            FileChannel channel = FileChannel.open(
                    path, StandardOpenOption.CREATE_NEW, StandardOpenOption.READ, StandardOpenOption.WRITE);
            // The lock lives as long as the channel. A sweeper may have come first: then the name is gone.
            FileLock lock = channel.tryLock();
            if (lock != null && Files.exists(path)) {
                return new TemporaryFile(path, channel);
            }
            channel.close();
        }
    }

    /** Deletes what dead processes left. */
    public static void sweep(Path folder) throws IOException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, ".*" + SUFFIX)) {
            for (Path file : files) {
                // POSIX drops all locks of a process when it closes any descriptor of the file: not our own files.
                if (!file.getFileName().toString().contains(OWNER)) {
                    sweepOne(file);
                }
            }
        }
    }

    private static void sweepOne(Path file) {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE);
                FileLock lock = channel.tryLock()) {
            if (lock != null) {
                Files.deleteIfExists(file);
            }
        } catch (IOException | OverlappingFileLockException e) {
            // Gone meanwhile, another user's, or in use here under a name that is none of ours: it is not ours to
            // sweep.
            return;
        }
    }

    public FileChannel channel() {
        return channel;
    }

    /** Appends all that is left of the bytes. */
    public void write(ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }

    /** The file is on disk, then it has its name: after this call, and after any crash, it is there whole. */
    public void moveTo(Path target) throws IOException {
        moveToCache(target);
        forceFolder(target.getParent());
    }

    /** As {@link #moveTo}, but a crash may take the name: for what can be made again. The file is there whole, or not at all. */
    public void moveToCache(Path target) throws IOException {
        channel.force(true);
        moveUnsynced(target);
    }

    /** As {@link #moveToCache}, but a crash may leave the name with other bytes: for what every reader checks whole. */
    public void moveUnsynced(Path target) throws IOException {
        HeldFiles.replace(path, target);
        moved = true;
    }

    private static void forceFolder(Path folder) {
        try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
            channel.force(true);
        } catch (IOException e) {
            // Windows does not open folders; a name that is lost in a crash costs only making the file again.
            return;
        }
    }

    @Override
    public void close() throws IOException {
        channel.close();
        if (!moved) {
            HeldFiles.deleteIfExists(path);
        }
    }
}
