package dev.runhv.vmm.rootfs;

import dev.runhv.vmm.content.PositionalFile;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Files that are read as one, each behind the one before it. */
final class ImageParts implements Closeable {
    private record Part(PositionalFile file, long start, long size) {}

    private final List<Part> parts = new ArrayList<>();
    private long size;

    ImageParts(List<Path> files) throws IOException {
        try {
            for (Path file : files) {
                PositionalFile opened = PositionalFile.open(file);
                parts.add(new Part(opened, size, opened.size()));
                size += opened.size();
            }
        } catch (IOException e) {
            close();
            throw e;
        }
    }

    long size() {
        return size;
    }

    /** @return how many bytes were read, those of one file at most; -1 at the end of all */
    int read(byte[] buffer, int offset, int length, long position) throws IOException {
        for (Part part : parts) {
            long inPart = position - part.start;
            if (inPart < part.size) {
                return part.file.read(buffer, offset, (int) Math.min(length, part.size - inPart), inPart);
            }
        }
        return -1;
    }

    @Override
    public void close() throws IOException {
        for (Part part : parts) {
            part.file.close();
        }
    }
}
