package dev.runhv.vmm.rootfs;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.Strictness;
import dev.runhv.api.ErrorCode;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.tar.Sparse;
import dev.runhv.vmm.content.tar.TarEntry;
import dev.runhv.vmm.image.ConfigFuzz;
import dev.runhv.vmm.testing.InstalledDistribution;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The heap that {@code runhv} gives its Java side holds a tree that is at every limit at once. */
class HeapTest {
    private static final Pattern HEAP = Pattern.compile("\"(-Xmx\\w+)\"");

    @TempDir
    private Path folder;

    @Test
    void holdsWhatIsAtEveryLimit() throws Exception {
        Process child = new ProcessBuilder(List.of(
                        Path.of(System.getProperty("java.home"), "bin/java").toString(),
                        heapOfTheCommand(),
                        "-XX:+UseSerialGC",
                        "-XX:TieredStopAtLevel=1",
                        "-cp",
                        String.join(
                                File.pathSeparator,
                                "target/classes",
                                "target/test-classes",
                                placeOf(ErrorCode.class),
                                placeOf(Strictness.class)),
                        EverythingAtItsLimit.class.getName(),
                        folder.resolve("image").toString()))
                .redirectErrorStream(true)
                .start();
        String output = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);

        assertThat(child.waitFor()).as(output).isZero();
        assertThat(output.strip()).endsWith(RootfsLimits.ENTRIES + 1 + " inodes");
    }

    private static String heapOfTheCommand() throws IOException {
        Matcher heap =
                HEAP.matcher(Files.readString(InstalledDistribution.sources().resolve("native/cli/main.cc")));
        assertThat(heap.find()).isTrue();
        return heap.group(1);
    }

    private static String placeOf(Class<?> type) throws Exception {
        return Path.of(type.getProtectionDomain().getCodeSource().getLocation().toURI())
                .toString();
    }

    /** Runs in a JVM of its own. */
    static final class EverythingAtItsLimit {
        private static final int ATTRIBUTES = 800;
        private static final int VALUE_BYTES = 20;

        private EverythingAtItsLimit() {}

        public static void main(String[] arguments) throws IOException {
            ConfigFuzz.fuzzerTestOneInput(
                    ("{\"a\":[" + "{},".repeat((8 << 20) / 3 - 3) + "{}]}").getBytes(StandardCharsets.US_ASCII));
            RootTree tree = new RootTree();
            tree.beginLayer();
            int files = attributes(tree) + sparseFiles(tree) + 3; // three folders
            files(tree, RootfsLimits.ENTRIES - files);
            try (FileChannel channel =
                    FileChannel.open(Path.of(arguments[0]), StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
                new ErofsWriter(new ImageOutput(channel)).finishBehindData(tree, new byte[16]);
            }
            ByteBuffer inodes = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
            try (FileChannel channel = FileChannel.open(Path.of(arguments[0]), StandardOpenOption.READ)) {
                channel.read(inodes, Erofs.SUPERBLOCK_OFFSET + Erofs.SB_INODES);
            }
            System.out.println(inodes.getLong(0) + " inodes");
        }

        private static int attributes(RootTree tree) throws CorruptInputException {
            long eachFile = ATTRIBUTES * (8L + VALUE_BYTES + RootfsLimits.XATTR_OVERHEAD);
            int count = (int) (RootfsLimits.XATTR_TOTAL_BYTES / eachFile);
            for (int i = 0; i < count; i++) {
                Map<String, byte[]> xattrs = new TreeMap<>();
                for (int attribute = 0; attribute < ATTRIBUTES; attribute++) {
                    xattrs.put("user." + (100 + attribute), new byte[VALUE_BYTES]);
                }
                tree.apply(entry(TarEntry.Type.FIFO, "attributes/" + i, xattrs), null);
            }
            return count;
        }

        private static int sparseFiles(RootTree tree) throws CorruptInputException {
            int chunks = 1 << 18;
            int count = RootfsLimits.CHUNKS / chunks;
            for (int i = 0; i < count; i++) {
                FileData data = new FileData.Chunked(RootfsLimits.FILE_BYTES, 14, new int[chunks]);
                tree.apply(entry(TarEntry.Type.FILE, "sparse/" + i, Map.of()), data);
            }
            return count;
        }

        private static void files(RootTree tree, int count) throws CorruptInputException {
            String name = "n".repeat((int) (RootfsLimits.NAME_TOTAL_BYTES / RootfsLimits.ENTRIES) - 8);
            for (int i = 0; i < count; i++) {
                FileData data = new FileData.Flat(0, 0);
                tree.apply(entry(TarEntry.Type.FILE, "many/" + (1_000_000 + i) + name, Map.of()), data);
            }
        }

        private static TarEntry entry(TarEntry.Type type, String name, Map<String, byte[]> xattrs) {
            return new TarEntry(type, name, "", 0644, 0, 0, 0, 1, 0, 0, 0, Sparse.NONE, xattrs);
        }
    }
}
