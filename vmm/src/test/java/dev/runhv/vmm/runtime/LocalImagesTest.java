package dev.runhv.vmm.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpExchange;
import dev.runhv.api.ClosedException;
import dev.runhv.api.Engine;
import dev.runhv.api.ErrorCode;
import dev.runhv.api.FileContent;
import dev.runhv.api.HostException;
import dev.runhv.api.Image;
import dev.runhv.api.ImageDetails;
import dev.runhv.api.ImageEvent;
import dev.runhv.api.ImageLayer;
import dev.runhv.api.Images;
import dev.runhv.api.PullSpec;
import dev.runhv.api.RemovedImages;
import dev.runhv.api.RunhvException;
import dev.runhv.api.TreeEntry;
import dev.runhv.vmm.content.CallerEnvironment;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.process.ContainerRoot;
import dev.runhv.vmm.process.Distribution;
import dev.runhv.vmm.store.LocalImageService;
import dev.runhv.vmm.testing.ImageBuilder;
import dev.runhv.vmm.testing.LoopbackRegistry;
import dev.runhv.vmm.testing.TarBuilder;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** What the API promises of images, with a registry of our own. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class LocalImagesTest {
    private static final byte[] BASE =
            new TarBuilder().directory("etc/").file("etc/motd", "hello\n").bytes();
    private static final byte[] NOISE = new TarBuilder().file("noise", noise()).bytes();
    private static final String CONFIG = """
            {"Entrypoint":["/init"],"Cmd":["serve"],"Env":["A=b"],"User":"web","WorkingDir":"/srv","StopSignal":"INT",\
            "ExposedPorts":{"80/tcp":{}},"Volumes":{"/data":{}},"Labels":{"of":"us"}}""";

    @TempDir
    Path folder;

    private final List<String> requests = new CopyOnWriteArrayList<>();
    private volatile LoopbackRegistry.Answer answer = exchange -> false;
    private LoopbackRegistry registry;
    private ImageBuilder image;
    private LocalRunhv runhv;
    private Images images;
    private String name;

    private static byte[] noise() {
        byte[] noise = new byte[400_000];
        new Random(7).nextBytes(noise);
        return noise;
    }

    @BeforeEach
    void open() throws Exception {
        registry = new LoopbackRegistry(exchange -> {
            requests.add(exchange.getRequestURI().getPath());
            return answer.answer(exchange);
        });
        image = new ImageBuilder().gzipLayer(BASE).layer(NOISE).config(CONFIG);
        registry.serve("latest", image);
        name = registry.authority() + "/web:latest";
        runhv = new LocalRunhv(
                new Distribution(folder),
                store(),
                new ContainerRoot(folder.resolve("root")),
                Engine.AUTO,
                new LocalImageService(store()));
        images = runhv.images();
    }

    @AfterEach
    void close() {
        runhv.close();
        registry.close();
    }

    private Path store() {
        return folder.resolve("store");
    }

    private String id() {
        return Digest.sha256(ImageBuilder.bytes(image.configText())).toString();
    }

    private String manifest() {
        return Digest.sha256(ImageBuilder.bytes(image.manifestText())).toString();
    }

    private static void assertFails(ErrorCode code, ThrowingCallable call) {
        assertThatThrownBy(call)
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(code));
    }

    private List<Path> files(String below) throws IOException {
        if (!Files.exists(store().resolve(below))) {
            return List.of();
        }
        try (Stream<Path> files = Files.walk(store().resolve(below))) {
            return files.filter(Files::isRegularFile).toList();
        }
    }

    @Test
    void whatIsPulledIsListedAndReadyToRun() throws Exception {
        Image pulled = images.pull(registry.authority() + "/web");

        assertThat(pulled.name()).isEqualTo(name);
        assertThat(pulled.id()).isEqualTo(id());
        assertThat(pulled.digest()).isEqualTo(manifest());
        assertThat(images.list()).containsExactly(pulled);
        requests.clear();
        assertThat(images.prepare(name).rootfsKey()).isNotEmpty();
        assertThat(requests).isEmpty();
    }

    @Test
    void aPullTellsOfTheImageAndOfEachLayer() throws Exception {
        List<ImageEvent> events = new CopyOnWriteArrayList<>();
        images.pull(PullSpec.image(name).build(), events::add);

        String base = Digest.sha256(ImageBuilder.gzip(BASE)).toString();
        String noise = Digest.sha256(NOISE).toString();
        int baseBytes = ImageBuilder.gzip(BASE).length;
        assertThat(events.getFirst())
                .isEqualTo(new ImageEvent.Resolved(manifest(), 2, baseBytes + (long) NOISE.length));
        assertThat(events)
                .containsOnlyOnce(new ImageEvent.Fetched(base, baseBytes, baseBytes))
                .containsOnlyOnce(new ImageEvent.Fetched(noise, NOISE.length, NOISE.length))
                .containsOnlyOnce(new ImageEvent.LayerReady(base, baseBytes))
                .containsOnlyOnce(new ImageEvent.LayerReady(noise, NOISE.length));
        assertThat(events.indexOf(new ImageEvent.LayerReady(noise, NOISE.length)))
                .isGreaterThan(events.indexOf(new ImageEvent.Fetched(noise, NOISE.length, NOISE.length)));
    }

    @Test
    void whatAListenerThrowsEndsThePullAndNamesNothing() throws Exception {
        IllegalStateException thrown = new IllegalStateException("enough");
        assertThatThrownBy(() -> images.pull(PullSpec.image(name).build(), event -> {
                    if (event instanceof ImageEvent.Fetched) {
                        throw thrown;
                    }
                }))
                .isSameAs(thrown);
        assertThat(images.list()).isEmpty();
    }

    /** Gives half of the larger layer, and the rest when it is asked for from there. */
    private LoopbackRegistry.Answer stallsOnce(CountDownLatch over) {
        String layer = "/" + Digest.sha256(NOISE);
        return exchange -> {
            if (!exchange.getRequestURI().getPath().endsWith(layer)) {
                return false;
            }
            String range = exchange.getRequestHeaders().getFirst("Range");
            return range == null ? stall(exchange, over) : rest(exchange, range);
        };
    }

    private static boolean stall(HttpExchange exchange, CountDownLatch over) throws IOException {
        exchange.sendResponseHeaders(200, NOISE.length);
        exchange.getResponseBody().write(NOISE, 0, NOISE.length / 2);
        exchange.getResponseBody().flush();
        try {
            over.await();
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
        return true;
    }

    private static boolean rest(HttpExchange exchange, String range) throws IOException {
        int from = Integer.parseInt(range.substring("bytes=".length(), range.length() - 1));
        exchange.getResponseHeaders()
                .set("Content-Range", "bytes %d-%d/%d".formatted(from, NOISE.length - 1, NOISE.length));
        return LoopbackRegistry.send(exchange, 206, Arrays.copyOfRange(NOISE, from, NOISE.length));
    }

    @Test
    void aPullThatIsCancelledKeepsWhatWasWholeAndGoesOnLater() throws Exception {
        CountDownLatch over = new CountDownLatch(1);
        CountDownLatch whole = new CountDownLatch(1);
        CountDownLatch part = new CountDownLatch(1);
        CountDownLatch ended = new CountDownLatch(1);
        answer = stallsOnce(over);
        List<Throwable> thrown = new CopyOnWriteArrayList<>();
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            Future<?> pull = threads.submit(() -> {
                try {
                    images.pull(PullSpec.image(name).build(), event -> {
                        if (event instanceof ImageEvent.LayerReady) {
                            whole.countDown();
                        } else if (event instanceof ImageEvent.Fetched fetched
                                && fetched.totalBytes() == NOISE.length) {
                            part.countDown();
                        }
                    });
                } catch (InterruptedException e) {
                    thrown.add(e);
                } finally {
                    ended.countDown();
                }
            });
            whole.await();
            part.await();
            assertThat(pull.cancel(true)).isTrue();
            ended.await();
        }
        assertThat(thrown).singleElement().isInstanceOf(InterruptedException.class);
        assertThat(images.list()).isEmpty();
        assertThat(files("rootfs")).isEmpty();
        assertThat(files("layers")).as("the layer that was whole").hasSize(2);
        over.countDown();
        requests.clear();

        assertThat(images.pull(name).id()).isEqualTo(id());
        assertThat(requests.stream().filter(path -> path.contains("/blobs/")))
                .as("what was not whole")
                .containsExactly("/v2/web/blobs/" + Digest.sha256(NOISE));
    }

    @Test
    void anImageIsPushedByItsNameOrItsId() throws Exception {
        images.pull(name);
        answer = LoopbackRegistry::takesWhatIsPushed;
        requests.clear();
        List<ImageEvent> events = new CopyOnWriteArrayList<>();

        assertThat(images.push(name)).isEqualTo(manifest());
        assertThat(images.push(id().substring(0, 20), events::add)).isEqualTo(manifest());

        assertThat(requests.stream().filter(path -> path.endsWith("/v2/web/manifests/latest")))
                .hasSize(2);
        String noise = Digest.sha256(NOISE).toString();
        assertThat(events).containsOnlyOnce(new ImageEvent.Sent(noise, NOISE.length, NOISE.length));
        images.tag(name, "mine:1");
        assertThatThrownBy(() -> images.push(id()))
                .hasMessageContaining("It has several names, say one of them: docker.io/library/mine:1, " + name);
        assertFails(ErrorCode.NOT_FOUND, () -> images.push("nothing"));
    }

    @Test
    void whatAListenerThrowsEndsThePush() throws Exception {
        images.pull(name);
        answer = LoopbackRegistry::takesWhatIsPushed;
        requests.clear();
        IllegalStateException thrown = new IllegalStateException("enough");
        assertThatThrownBy(() -> images.push(name, event -> {
                    throw thrown;
                }))
                .isSameAs(thrown);
        assertThat(requests).noneMatch(path -> path.contains("/manifests/"));
    }

    private static <T> T withQuota(String quota, ScopedValue.CallableOp<T, Exception> work) throws Exception {
        return CallerEnvironment.within(Map.of("RUNHV_STORE_QUOTA", quota), work);
    }

    @Test
    void aPullThatWouldPassTheQuotaLeavesNothingAndWhatIsThereStays() throws Exception {
        ImageBuilder small = new ImageBuilder().layer(BASE);
        registry.serve("small", small);
        String first = registry.authority() + "/web:small";
        images.pull(first);
        List<Path> before = files("");
        requests.clear();

        assertThatThrownBy(() -> withQuota("300k", () -> images.pull(name)))
                .isInstanceOfSatisfying(
                        HostException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.NO_SPACE))
                .hasMessageContaining("more than the 307200 that RUNHV_STORE_QUOTA allows: runhv prune");
        assertThat(requests)
                .as("no layer is begun")
                .noneMatch(path -> path.endsWith(Digest.sha256(NOISE).toString()));
        assertThat(withoutLocks(files(""))).isEqualTo(withoutLocks(before));

        // Its blobs have room, the content of its files has none beside them.
        assertThatThrownBy(() -> withQuota("600k", () -> images.pull(name))).hasMessageContaining("RUNHV_STORE_QUOTA");
        assertThat(requests).anyMatch(path -> path.endsWith(Digest.sha256(NOISE).toString()));
        assertThat(withoutLocks(files(""))).isEqualTo(withoutLocks(before));
        assertThat(images.list()).extracting(Image::name).containsExactly(first);

        assertThat(withQuota("1m", () -> images.pull(name)).id()).isEqualTo(id());
        assertThat(withQuota("1", () -> images.pull(name)).id())
                .as("nothing is brought")
                .isEqualTo(id());
    }

    private static List<Path> withoutLocks(List<Path> files) {
        return files.stream()
                .filter(file -> !file.getParent().endsWith("locks"))
                .sorted()
                .toList();
    }

    @Test
    void anArchiveThatWouldPassTheQuotaLeavesNothing() throws Exception {
        images.pull(name);
        Path archive = folder.resolve("image.tar");
        images.save(List.of(name), archive);
        images.delete(name);
        assertThat(withoutLocks(files(""))).isEmpty();

        assertThatThrownBy(() -> withQuota("300k", () -> images.load(archive)))
                .hasMessageContaining("RUNHV_STORE_QUOTA");
        assertThat(withoutLocks(files(""))).isEmpty();
        assertThat(withQuota("500k", () -> images.load(archive))).containsExactly(name);
    }

    @Test
    void aQuotaThatIsNoSizeIsRefused() {
        for (String quota : List.of("much", "-1", "0", "1.5g", "9999999t", "1x")) {
            assertThatThrownBy(() -> withQuota(quota, () -> images.pull(name)))
                    .isInstanceOfSatisfying(
                            RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_ARGUMENT))
                    .hasMessageContaining("RUNHV_STORE_QUOTA");
        }
    }

    @Test
    void anImageHasItsIdByAnyNameAndAsMuchOfItAsNoOtherHas() throws Exception {
        images.pull(name);
        images.tag(name, "mine:1");

        for (String each :
                List.of("mine:1", id(), id().substring(0, 20), registry.authority() + "/web@" + manifest())) {
            assertThat(images.resolve(each)).isEqualTo(id());
        }
        assertFails(ErrorCode.NOT_FOUND, () -> images.resolve("other"));
        assertFails(ErrorCode.INVALID_ARGUMENT, () -> images.tag("mine:1", "NoName"));
    }

    @Test
    void inspectTellsWhatTheImageSays() throws Exception {
        images.pull(name);
        images.tag(name, "mine:1");

        ImageDetails details = images.inspect("mine:1");
        assertThat(details.id()).isEqualTo(id());
        assertThat(details.names()).containsExactlyInAnyOrder("docker.io/library/mine:1", name);
        assertThat(details.platform()).isEqualTo("linux/amd64");
        assertThat(details.created()).isEmpty();
        assertThat(details.entrypoint()).containsExactly("/init");
        assertThat(details.command()).containsExactly("serve");
        assertThat(details.environment()).containsExactly("A=b");
        assertThat(details.user()).contains("web");
        assertThat(details.workingDirectory()).contains("/srv");
        assertThat(details.stopSignal()).contains("INT");
        assertThat(details.exposedPorts()).containsExactly("80/tcp");
        assertThat(details.volumes()).containsExactly("/data");
        assertThat(details.labels()).containsEntry("of", "us");
        assertThat(details.configuration()).isEqualTo(image.configText());
        assertThat(details.layers())
                .extracting(ImageLayer::diffId)
                .containsExactly(
                        Digest.sha256(BASE).toString(), Digest.sha256(NOISE).toString());
        ImageLayer base = details.layers().getFirst();
        assertThat(base.digest())
                .isEqualTo(Digest.sha256(ImageBuilder.gzip(BASE)).toString());
        assertThat(base.bytes()).isEqualTo(ImageBuilder.gzip(BASE).length);
        assertThat(base.mediaType()).isEqualTo(ImageBuilder.LAYER + "+gzip");
        assertThat(base.contentBytes()).hasValue(4096); // one file, from the start of a block
        assertThat(details.bytes()).isGreaterThan(2L * NOISE.length);
    }

    @Test
    void theLastNameTakesTheImageAway() throws Exception {
        images.pull(name);
        images.tag(name, "mine:1");
        assertFails(ErrorCode.CONFLICT, () -> images.delete(id()));

        RemovedImages first = images.delete(name);
        assertThat(first.names()).containsExactly(name);
        assertThat(first.content()).isEmpty();
        RemovedImages last = images.delete("mine:1");
        assertThat(last.names()).containsExactly("docker.io/library/mine:1");
        assertThat(last.content())
                .containsExactlyInAnyOrder(
                        id(),
                        Digest.sha256(BASE).toString(),
                        Digest.sha256(NOISE).toString());
        assertThat(last.freedBytes()).isGreaterThan(2L * NOISE.length);
        assertThat(last.isContentLeft()).isFalse();
        assertThat(images.list()).isEmpty();
        assertThat(files("layers")).isEmpty();
        assertThat(files("registry/blobs")).isEmpty();
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "what is open there is not removed")
    void filesAndLayersOfAnImageAreOpened() throws Exception {
        images.pull(name);

        try (InputStream motd = images.openFile(id(), "/etc/motd");
                InputStream noise = images.openFile(name, "/noise");
                InputStream layer =
                        images.openBlob(images.inspect(name).layers().getFirst().digest())) {
            images.delete(name);
            assertThat(motd).hasContent("hello\n");
            assertThat(noise.readAllBytes()).isEqualTo(noise());
            assertThat(layer.readAllBytes()).isEqualTo(ImageBuilder.gzip(BASE));
        }
        assertFails(ErrorCode.NOT_FOUND, () -> images.openFile(name, "/etc/motd"));
    }

    @Test
    void whatIsNoFileOfAnImageIsRefused() throws Exception {
        images.pull(name);
        String layer = images.inspect(name).layers().getFirst().digest();

        assertFails(ErrorCode.NOT_FOUND, () -> images.openFile(name, "/none"));
        assertFails(ErrorCode.INVALID_ARGUMENT, () -> images.openFile(name, "/etc"));
        assertFails(ErrorCode.INVALID_ARGUMENT, () -> images.openFile(name, "etc/motd"));
        assertFails(ErrorCode.INVALID_ARGUMENT, () -> images.openBlob("none"));
        assertFails(
                ErrorCode.NOT_FOUND,
                () -> images.openBlob(Digest.sha256(new byte[1]).toString()));
        Path blob = store().resolve("registry/blobs").resolve(layer.replace(':', '/'));
        byte[] damaged = Files.readAllBytes(blob);
        damaged[20] ^= 1;
        Files.write(blob, damaged);
        try (InputStream bytes = images.openBlob(layer)) {
            assertThatThrownBy(bytes::readAllBytes)
                    .isInstanceOf(IOException.class)
                    .hasMessageContaining("does not match its digest");
        }
    }

    @Test
    void archivesAreWrittenAndTakenBack() throws Exception {
        images.pull(name);
        images.tag(name, "mine:1");
        Path archive = folder.resolve("images.tar");

        images.save(List.of(name, "mine:1"), archive);
        images.delete(name);
        images.delete("mine:1");
        List<ImageEvent> events = new CopyOnWriteArrayList<>();
        List<String> loaded = images.load(archive, events::add);

        assertThat(loaded).containsExactlyInAnyOrder(name, "docker.io/library/mine:1");
        assertThat(images.resolve("mine:1")).isEqualTo(id());
        assertThat(events).hasSize(2).allMatch(ImageEvent.LayerReady.class::isInstance);
        try (InputStream motd = images.openFile("mine:1", "/etc/motd")) {
            assertThat(motd).as("of what has never run").hasContent("hello\n");
        }
        byte[] first = Files.readAllBytes(archive);
        images.save(loaded, archive);
        assertThat(archive).hasBinaryContent(first);
    }

    @Test
    void anArchiveOfDockersAndATarBecomeImages() throws Exception {
        Path docker = Files.write(
                folder.resolve("docker.tar"), image.dockerArchive("theirs:1").bytes());
        assertThat(images.load(docker)).containsExactly("docker.io/library/theirs:1");
        assertThat(images.load(docker, "mine:2", event -> {})).containsExactly("docker.io/library/mine:2");
        Path tar = Files.write(folder.resolve("root.tar"), BASE);

        String imported = images.importTar(tar, "mine:3", List.of("CMD /init", "USER web"));

        assertThat(images.resolve("mine:3")).isEqualTo(imported);
        assertThat(images.inspect("mine:3").user()).contains("web");
        assertThat(images.list()).hasSize(3);
    }

    @Test
    void whatIsNoArchiveIsRefusedAndNamesNothing() throws Exception {
        Path none = Files.writeString(folder.resolve("none.tar"), "no tar");
        assertFails(ErrorCode.CORRUPT_INPUT, () -> images.load(none));
        assertFails(ErrorCode.CORRUPT_INPUT, () -> images.importTar(none, "mine:1", List.of()));
        assertFails(ErrorCode.NOT_FOUND, () -> images.load(folder.resolve("absent.tar")));
        assertFails(ErrorCode.NOT_FOUND, () -> images.save(List.of("mine:1"), folder.resolve("out.tar")));
        assertThat(images.list()).isEmpty();
        assertThat(folder.resolve("out.tar")).doesNotExist();
    }

    @Test
    void whatTheSignaturePolicyRefusesIsNamedByNothing() throws Exception {
        Path archive = Files.write(
                folder.resolve("docker.tar"), image.dockerArchive("theirs:1").bytes());
        Path policy = Files.writeString(folder.resolve("policy.json"), "{\"default\":[{\"type\":\"reject\"}]}");
        Map<String, String> environment = Map.of("RUNHV_SIGNATURE_POLICY", policy.toString());

        assertFails(ErrorCode.ACCESS_DENIED, () -> CallerEnvironment.within(environment, () -> images.load(archive)));
        assertFails(ErrorCode.ACCESS_DENIED, () -> CallerEnvironment.within(environment, () -> images.pull(name)));

        assertThat(images.list()).isEmpty();
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "folders of Windows have no modes and owners for an image")
    void aTreeBecomesAnImage() throws Exception {
        Path root = Files.createDirectories(folder.resolve("tree"));
        Files.writeString(root.resolve("file"), "content");
        Path fromFolder = folder.resolve("folder.erofs");
        Path fromEntries = folder.resolve("entries.erofs");

        images.writeErofs(root, fromFolder);
        images.writeErofs(
                List.of(TreeEntry.file("/file", FileContent.of(root.resolve("file")))
                        .build()),
                fromEntries);

        // EROFS: its magic number is at byte 1024.
        for (Path written : List.of(fromFolder, fromEntries)) {
            assertThat(Arrays.copyOfRange(Files.readAllBytes(written), 1024, 1028))
                    .containsExactly(0xe2, 0xe1, 0xf5, 0xe0);
        }
    }

    @Test
    void anImageForAnotherPlatformIsKeptAndDoesNotRunHere() throws Exception {
        registry.serve("arm", new ImageBuilder().layer(BASE).platform("linux", "arm64"));
        String arm = registry.authority() + "/web:arm";
        assertFails(ErrorCode.UNSUPPORTED, () -> images.pull(arm));

        Image pulled = images.pull(PullSpec.image(arm).platform("linux/arm64").build(), event -> {});

        assertThat(images.inspect(pulled.id()).platform()).isEqualTo("linux/arm64");
        assertFails(ErrorCode.UNSUPPORTED, () -> images.prepare(arm));
    }

    @Test
    void whatARegistryRefusesHasItsType() {
        answer = exchange -> LoopbackRegistry.send(exchange, 404, new byte[0]);
        assertFails(ErrorCode.NOT_FOUND, () -> images.pull(name));
        answer = exchange -> LoopbackRegistry.send(exchange, 403, new byte[0]);
        assertFails(ErrorCode.ACCESS_DENIED, () -> images.pull(name));
        assertFails(ErrorCode.INVALID_ARGUMENT, () -> images.pull("NoName"));
    }

    @Test
    void closingEndsPullsAndNothingBeginsAfterwards() throws Exception {
        CountDownLatch over = new CountDownLatch(1);
        CountDownLatch begun = new CountDownLatch(1);
        answer = stallsOnce(over);
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            Future<?> pull =
                    threads.submit(() -> images.pull(PullSpec.image(name).build(), event -> {
                        if (event instanceof ImageEvent.Fetched) {
                            begun.countDown();
                        }
                    }));
            begun.await();
            runhv.close();
            assertThatThrownBy(pull::get).hasCauseInstanceOf(ClosedException.class);
        } finally {
            over.countDown();
        }
        assertFails(ErrorCode.CLOSED, () -> images.pull(name));
        assertFails(ErrorCode.CLOSED, images::list);
    }
}
