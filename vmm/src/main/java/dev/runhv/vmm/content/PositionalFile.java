package dev.runhv.vmm.content;

import java.io.Closeable;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.AccessMode;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A file of which any part can be read, by several threads at once. An interrupt does not close it: it would close a
 * channel, under the hands of all who read from it.
 */
public final class PositionalFile implements Closeable {
    private final RandomAccessFile file; // guards its position
    private final Path temporary; // null where it is not ours to delete

    private PositionalFile(RandomAccessFile file, Path temporary) {
        this.file = file;
        this.temporary = temporary;
    }

    public static PositionalFile open(Path path) throws IOException {
        try {
            return new PositionalFile(new RandomAccessFile(path.toFile(), "r"), null);
        } catch (FileNotFoundException e) {
            // One type and a sentence for whatever went wrong: this asks again, and gets the types.
            path.getFileSystem().provider().checkAccess(path, AccessMode.READ);
            throw e;
        }
    }

    /**
     * An empty file in the folder for temporary files. On POSIX it has no name, and is gone with the process however that
     * ends; on Windows it goes when it is closed.
     */
    public static PositionalFile temporary(String prefix) throws IOException {
        Path path = Files.createTempFile(prefix, ".tmp");
        RandomAccessFile file = null;
        try {
            file = new RandomAccessFile(path.toFile(), "rw");
            boolean named = !path.getFileSystem().supportedFileAttributeViews().contains("posix");
            if (!named) {
                Files.delete(path);
            }
            return new PositionalFile(file, named ? path : null);
        } catch (IOException e) {
            if (file != null) {
                file.close();
            }
            Files.deleteIfExists(path);
            throw e;
        }
    }

    /** @return how many bytes were read; -1 at the end of the file */
    public int read(byte[] buffer, int offset, int length, long position) throws IOException {
        synchronized (file) {
            file.seek(position);
            return file.read(buffer, offset, length);
        }
    }

    /** Writes all of it. */
    public void write(byte[] data, int offset, int length, long position) throws IOException {
        synchronized (file) {
            file.seek(position);
            file.write(data, offset, length);
        }
    }

    public long size() throws IOException {
        return file.length();
    }

    @Override
    public void close() throws IOException {
        file.close();
        if (temporary != null) {
            try {
                Files.deleteIfExists(temporary);
            } catch (FileSystemException e) {
                // A scanner of viruses has it open: the system's clean-up gets it.
                return;
            }
        }
    }
}
