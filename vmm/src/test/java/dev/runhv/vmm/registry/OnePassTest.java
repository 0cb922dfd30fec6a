package dev.runhv.vmm.registry;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpExchange;
import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CallerEnvironment;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.image.ImageSource;
import dev.runhv.vmm.image.PullPolicy;
import dev.runhv.vmm.image.PullProgress;
import dev.runhv.vmm.rootfs.PreparedRootfs;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.rootfs.RootfsStore;
import dev.runhv.vmm.testing.ImageBuilder;
import dev.runhv.vmm.testing.LoopbackRegistry;
import dev.runhv.vmm.testing.TarBuilder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Layers that become parts of a root file system while they come, from a registry of our own that breaks off or lies. */
@Timeout(120)
class OnePassTest {
    private static final byte[] TAR =
            new TarBuilder().file("noise", noise(200_000)).file("last", "end").bytes();

    @TempDir
    private Path folder;

    private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
    private LoopbackRegistry registry;
    private byte[] stored;

    /** What is sent in place of the layer, by the name of the image: one for each request, then the layer. */
    private final Map<String, ConcurrentLinkedQueue<byte[]>> lies = new ConcurrentHashMap<>();
    /** How often the layer was asked for by the path of a mirror, which never gives it. */
    private final AtomicInteger mirrored = new AtomicInteger();

    /** From which byte on the layer was asked for, by the name of the image. */
    private final Map<String, List<Integer>> asked = new ConcurrentHashMap<>();

    private static byte[] noise(int size) {
        byte[] noise = new byte[size];
        new Random(5).nextBytes(noise);
        return noise;
    }

    @BeforeEach
    void serve() throws IOException {
        registry = new LoopbackRegistry(this::answer);
        serve(ImageBuilder.gzip(TAR), TAR);
    }

    private void serve(byte[] layer, byte[] tar) {
        stored = layer;
        registry.serve("latest", new ImageBuilder().layer(ImageBuilder.LAYER, layer, tar));
    }

    @AfterEach
    void stop() {
        registry.close();
        threads.shutdownNow();
    }

    private boolean answer(HttpExchange exchange) throws IOException {
        String[] path = exchange.getRequestURI().getPath().split("/");
        if (!path[path.length - 1].equals(Digest.sha256(stored).toString())) {
            return false;
        }
        answerLayer(exchange, path[path.length - 3], path[1].equals("lying"));
        return true;
    }

    private void answerLayer(HttpExchange exchange, String name, boolean lying) throws IOException {
        if (lying) {
            mirrored.incrementAndGet();
            exchange.sendResponseHeaders(200, stored.length);
            exchange.getResponseBody().write(noise(stored.length));
            return;
        }
        String range = exchange.getRequestHeaders().getFirst("Range");
        int from = range == null ? 0 : Integer.parseInt(range.substring("bytes=".length(), range.length() - 1));
        asked.computeIfAbsent(name, key -> new ArrayList<>()).add(from);
        byte[] lie = lies.getOrDefault(name, new ConcurrentLinkedQueue<>()).poll();
        byte[] body = lie == null ? stored : lie;
        if (body.length == 0) {
            exchange.sendResponseHeaders(404, -1);
            return;
        }
        exchange.getResponseHeaders()
                .set("Content-Range", "bytes %d-%d/%d".formatted(from, stored.length - 1, stored.length));
        exchange.sendResponseHeaders(range == null ? 200 : 206, stored.length - from);
        exchange.getResponseBody().write(body, from, body.length - from);
        exchange.getResponseBody().flush();
    }

    private Path store(String name) {
        return folder.resolve(name);
    }

    private PreparedRootfs pull(String name) throws InterruptedException {
        Reference reference = Reference.parse(registry.authority() + "/" + name);
        try (ImageSource source = ImageSource.pull(reference, store(name), PullPolicy.ALWAYS, PullProgress.NONE)) {
            return new RootfsStore(store(name)).prepare(source, RootfsProgress.NONE);
        }
    }

    private void lies(String name, byte[]... bodies) {
        lies.put(name, new ConcurrentLinkedQueue<>(List.of(bodies)));
    }

    /** The files of a store below a folder, as many bytes as they have. */
    private List<Long> sizes(String name, String below) throws IOException {
        Path place = store(name).resolve(below);
        if (!Files.exists(place)) {
            return List.of();
        }
        try (Stream<Path> files = Files.list(place)) {
            return files.map(file -> file.toFile().length()).toList();
        }
    }

    private Path blob(String name) {
        return store(name)
                .resolve("registry/blobs/sha256/" + Digest.sha256(stored).hex());
    }

    private void assertNoLayer(String name) throws IOException {
        assertThat(sizes(name, "layers")).isEmpty();
        assertThat(sizes(name, "rootfs")).isEmpty();
        assertThat(sizes(name, "registry/names")).isEmpty();
    }

    @Test
    void aLayerThatBreaksOffAnywhereGoesOnFromThere() throws Exception {
        byte[] whole = Files.readAllBytes(pull("whole").image());
        List<Future<?>> done = new ArrayList<>();
        IntStream.range(1, 10)
                .forEach(tenth -> done.add(threads.submit(() -> breaksOffAt("broken" + tenth, tenth, whole))));
        for (Future<?> each : done) {
            each.get();
        }
    }

    private Void breaksOffAt(String name, int tenth, byte[] whole) throws Exception {
        int come = stored.length * tenth / 10;
        lies(name, Arrays.copyOf(stored, come), new byte[0]);

        assertThatThrownBy(() -> pull(name))
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.NOT_FOUND));

        assertNoLayer(name);
        assertThat(sizes(name, "registry/partial")).containsExactly((long) come);
        assertThat(pull(name).image()).hasBinaryContent(whole);
        assertThat(asked.get(name)).containsExactly(0, come, come);
        assertThat(blob(name)).hasBinaryContent(stored);
        assertThat(sizes(name, "registry/partial")).isEmpty();
        return null;
    }

    @Test
    void aBlobThatIsWholeIsReadAndNotFetched() throws Exception {
        PreparedRootfs made = pull("again");
        Path data = made.layers().getFirst();
        Files.delete(data);
        Files.delete(made.image());

        assertThat(pull("again").layers().getFirst()).exists();
        assertThat(asked.get("again")).containsExactly(0);
    }

    @Test
    void aLayerThatIsThereStillGetsItsBlob() throws Exception {
        pull("pushed");
        Files.delete(blob("pushed"));

        pull("pushed");

        assertThat(blob("pushed")).hasBinaryContent(stored);
    }

    /** What follows the compressed tar is a part of the blob: all of the layer is right but this. */
    @Test
    void aDigestThatIsWrongAfterTheWholeTarLeavesNoLayer() throws Exception {
        byte[] trailing = Arrays.copyOf(stored, stored.length + 1000);
        serve(trailing, TAR);
        byte[] lie = trailing.clone();
        lie[lie.length - 1] = 1;
        lies("lied", lie, lie);

        assertThatThrownBy(() -> pull("lied"))
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CORRUPT_INPUT))
                .hasMessageContaining("does not match its digest");

        assertNoLayer("lied");
        assertThat(blob("lied")).doesNotExist();
        assertThat(sizes("lied", "registry/partial")).containsExactly(0L);
        assertThat(pull("lied").image()).exists();
    }

    @Test
    void whatIsNoLayerAtAllIsTheRegistrysFaultWhereItsDigestIsWrong() throws Exception {
        byte[] lie = noise(stored.length);
        lies("lied", lie, lie);

        assertThatThrownBy(() -> pull("lied")).hasMessageContaining("does not match its digest");
        assertNoLayer("lied");
        lies("lied", lie);
        assertThat(pull("lied").image()).exists();
    }

    @Test
    void whatAMirrorDoesNotHaveAsItShouldComesFromTheNext() throws Exception {
        int port = registry.port();
        Path hosts = Files.createDirectories(folder.resolve("certs.d/localhost_" + port + "_"));
        Files.writeString(
                hosts.resolve("hosts.toml"),
                "[host.\"http://127.0.0.1:%d/lying\"]\ncapabilities = [\"pull\"]\n".formatted(port));

        CallerEnvironment.within(Map.of("RUNHV_REGISTRIES", hosts.getParent().toString()), () -> pull("mirrored"));

        assertThat(mirrored).hasPositiveValue();
        assertThat(asked.get("mirrored")).containsExactly(0);
        assertThat(blob("mirrored")).hasBinaryContent(stored);
        assertThat(sizes("mirrored", "rootfs")).hasSize(1);
    }

    @Test
    void whatIsNoLayerAtAllIsTheImagesFaultWhereItsDigestIsRight() throws Exception {
        byte[] cut = Arrays.copyOf(stored, stored.length / 2);
        serve(cut, TAR);

        assertThatThrownBy(() -> pull("damaged"))
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.CORRUPT_INPUT))
                .hasMessageContaining("layer 1 of 1")
                .hasMessageContaining("truncated");

        assertNoLayer("damaged");
        assertThat(blob("damaged")).hasBinaryContent(cut);
        assertThat(asked.get("damaged")).containsExactly(0);
    }

    /** The registry holds back the second layer until the first is found to mean nothing. */
    @Test
    void whatTheLayersBelowMeanIsSeenWhileOthersCome() throws Exception {
        Semaphore held = new Semaphore(0);
        String withheld = Digest.sha256(stored).toString();
        try (LoopbackRegistry slow = new LoopbackRegistry(exchange -> {
            if (exchange.getRequestURI().getPath().endsWith(withheld)) {
                held.acquireUninterruptibly();
            }
            return false;
        })) {
            byte[] linked = new TarBuilder().hardlink("link", "nothing").bytes();
            slow.serve("latest", new ImageBuilder().gzipLayer(linked).layer(ImageBuilder.LAYER, stored, TAR));
            registry.close();
            registry = slow;

            assertThatThrownBy(() -> pull("slow")).hasMessageContaining("layer 1 of 2");

            assertThat(sizes("slow", "rootfs")).isEmpty();
            assertThat(sizes("slow", "registry/names")).isEmpty();
        } finally {
            held.release();
        }
    }

    @Test
    void aLayerOfAnotherDiffIdIsRefused() throws Exception {
        serve(stored, new TarBuilder().file("other", "").bytes());

        assertThatThrownBy(() -> pull("other")).hasMessageContaining("does not match its diff_id");

        assertNoLayer("other");
        assertThat(blob("other")).exists();
    }
}
