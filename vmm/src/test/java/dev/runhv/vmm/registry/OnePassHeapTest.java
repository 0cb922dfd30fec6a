package dev.runhv.vmm.registry;

import static org.assertj.core.api.Assertions.assertThat;

import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.image.ImageReference;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.rootfs.RootfsStore;
import dev.runhv.vmm.testing.ImageBuilder;
import dev.runhv.vmm.testing.LoopbackRegistry;
import dev.runhv.vmm.testing.TarBuilder;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Images of few stored bytes that are large, pulled by a JVM whose heap is a quarter of what {@code runhv} gives it. */
@Timeout(300)
class OnePassHeapTest {
    private static final String HEAP = "-Xmx256m";
    private static final int PIECE = 64 << 20;
    private static final int PIECES = 32;
    private static final int ENTRIES = 1_000_000;
    /** Of a tar: two blocks of zeros. */
    private static final byte[] END = new byte[1024];

    @TempDir
    private Path folder;

    private LoopbackRegistry registry;

    @BeforeEach
    void serve() throws IOException {
        registry = new LoopbackRegistry();
    }

    @AfterEach
    void stop() {
        registry.close();
    }

    /** A layer in pieces, each compressed for itself: gzip members one behind the other are one file (RFC 1952 §2.2). */
    private static final class Pieces {
        private final ByteArrayOutputStream stored = new ByteArrayOutputStream();
        private final MessageDigest tar = Digest.Algorithm.SHA256.newMessageDigest();

        void add(byte[] piece) {
            add(piece, ImageBuilder.gzip(piece));
        }

        void add(byte[] piece, byte[] compressed) {
            tar.update(piece);
            stored.writeBytes(compressed);
        }
    }

    private void serve(Pieces layer) {
        registry.serve(
                "latest",
                new ImageBuilder()
                        .layer(
                                ImageBuilder.LAYER + "+gzip",
                                layer.stored.toByteArray(),
                                Digest.of(Digest.Algorithm.SHA256, layer.tar)));
    }

    private static byte[] withoutEnd(TarBuilder tar) {
        byte[] bytes = tar.bytes();
        return Arrays.copyOf(bytes, bytes.length - END.length);
    }

    @Test
    void holdsALayerOfTwoGibibytes() throws Exception {
        Pieces layer = new Pieces();
        layer.add(withoutEnd(new TarBuilder()
                .pax("size", Long.toString((long) PIECES * PIECE))
                .file("zeros", "")));
        byte[] zeros = new byte[PIECE];
        byte[] compressed = ImageBuilder.gzip(zeros);
        for (int i = 0; i < PIECES; i++) {
            layer.add(zeros, compressed);
        }
        layer.add(END);
        serve(layer);

        pullInSmallHeap();
    }

    @Test
    void holdsALayerOfAMillionEntries() throws Exception {
        Pieces layer = new Pieces();
        int each = 10_000;
        for (int directory = 0; directory < ENTRIES / each; directory++) {
            TarBuilder tar = new TarBuilder().directory("directory" + directory + "/");
            for (int file = 1; file < each; file++) {
                tar.mtime(1_700_000_000 + file).file("directory" + directory + "/file" + file, "");
            }
            layer.add(withoutEnd(tar));
        }
        layer.add(END);
        serve(layer);

        pullInSmallHeap();
    }

    private void pullInSmallHeap() throws Exception {
        String name = registry.authority() + "/large";
        Process child = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin/java").toString(),
                        HEAP,
                        "-XX:+UseSerialGC",
                        "-cp",
                        String.join(
                                File.pathSeparator,
                                System.getProperty("jdk.module.path", ""),
                                System.getProperty("java.class.path")),
                        Puller.class.getName(),
                        name,
                        folder.resolve("store").toString())
                .redirectErrorStream(true)
                .start();
        String output = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);

        assertThat(child.waitFor()).as(output).isZero();
        assertThat(output).containsPattern("\\.erofs\\R");
    }

    /** Runs in a JVM of its own. */
    static final class Puller {
        private Puller() {}

        public static void main(String[] arguments) throws InterruptedException {
            System.out.println(new RootfsStore(Path.of(arguments[1]))
                    .prepare(ImageReference.parse(arguments[0]), RootfsProgress.NONE)
                    .image());
        }
    }
}
