package dev.runhv.vmm.rootfs;

import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.TemporaryFile;
import dev.runhv.vmm.image.ImageConfig;
import dev.runhv.vmm.image.ImageReference;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.InstantSource;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * What compressed archives hold: {@code archives/<sha256 of the image's name>}. Only an archive that is decompressed to its
 * end can be asked for its configuration; one whose file has not changed since it was asked has the same one.
 */
final class KnownArchives {
    private static final String FORMAT = "runhv-archive-1";
    /** What is younger may change once more within one tick of its file system's clock; FAT's is the slowest. */
    private static final Duration TICK = Duration.ofSeconds(2);

    private final Path folder;
    private final InstantSource clock;

    KnownArchives(Path store, InstantSource clock) {
        this.folder = store.resolve("archives");
        this.clock = clock;
    }

    Path folder() {
        return folder;
    }

    /**
     * A file as it was at one moment.
     *
     * @param key of the image's name; a file's name
     * @param state changes when anything about the file does
     * @param changed when something last did
     */
    record Snapshot(String key, String state, FileTime changed) {}

    static Snapshot snapshot(ImageReference reference, Path archive) throws IOException {
        boolean unix = archive.getFileSystem().supportedFileAttributeViews().contains("unix");
        // The time of the last change of an inode cannot be set back, as that of its content can.
        Map<String, Object> attributes = Files.readAttributes(
                archive, unix ? "unix:size,lastModifiedTime,ctime,ino,dev" : "size,lastModifiedTime,creationTime");
        FileTime changed = (FileTime) attributes.get(unix ? "ctime" : "lastModifiedTime");
        String name = archive.toRealPath() + "\n" + reference;
        return new Snapshot(
                Digest.sha256(name.getBytes(StandardCharsets.UTF_8)).hex(),
                new TreeMap<>(attributes).toString().replace('\n', ' '),
                changed);
    }

    /** The configuration of the image in an archive that is as it was when it was remembered. */
    Optional<ImageConfig> find(Snapshot archive) throws IOException {
        byte[] record;
        try {
            record = Files.readAllBytes(folder.resolve(archive.key));
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
        int end = headEnd(record);
        byte[] config = Arrays.copyOfRange(record, end, record.length);
        if (!Arrays.equals(head(archive, config), Arrays.copyOf(record, end))) {
            return Optional.empty(); // of the archive as it was, or damaged
        }
        return Optional.of(ImageConfig.parse(config));
    }

    /**
     * @param before the archive was read
     * @param after it was read
     */
    void remember(Snapshot before, Snapshot after, byte[] configText) throws IOException {
        if (!before.equals(after)
                || after.changed.toInstant().isAfter(clock.instant().minus(TICK))) {
            return;
        }
        Files.createDirectories(folder);
        TemporaryFile.sweep(folder);
        try (TemporaryFile temporary = TemporaryFile.create(folder, after.key)) {
            ByteArrayOutputStream record = new ByteArrayOutputStream();
            record.writeBytes(head(after, configText));
            record.writeBytes(configText);
            temporary.write(ByteBuffer.wrap(record.toByteArray()));
            temporary.moveToCache(folder.resolve(after.key));
        }
    }

    private static byte[] head(Snapshot archive, byte[] config) {
        return "%s\n%s\n%s\n"
                .formatted(FORMAT, archive.state, Digest.sha256(config))
                .getBytes(StandardCharsets.UTF_8);
    }

    /** Behind three lines, or where there are fewer behind all. */
    private static int headEnd(byte[] record) {
        int lines = 0;
        int end = 0;
        while (end < record.length && lines < 3) {
            lines += record[end++] == '\n' ? 1 : 0;
        }
        return end;
    }
}
