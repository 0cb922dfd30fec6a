package dev.runhv.vmm.registry;

import static dev.runhv.vmm.testing.LoopbackRegistry.send;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpExchange;
import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.image.ImageReference;
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
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.channels.ClosedChannelException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Pulls from a registry of our own, which behaves or does not. */
@Timeout(60)
class RegistryTest {
    @TempDir
    Path folder;

    private static final Instant NOW = Instant.parse("2026-11-28T12:00:00Z");

    private final Map<String, String> environment = new HashMap<>();
    private final List<Duration> pauses = new CopyOnWriteArrayList<>();
    private final List<String> requests = new CopyOnWriteArrayList<>();
    private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
    private volatile LoopbackRegistry.Answer misbehaviour = exchange -> false;
    private LoopbackRegistry registry;
    private ImageBuilder image;

    @BeforeEach
    void serve() throws IOException {
        registry = new LoopbackRegistry(exchange -> {
            requests.add(exchange.getRequestURI().getPath());
            return misbehaviour.answer(exchange);
        });
        serve(new ImageBuilder()
                .gzipLayer(new TarBuilder().file("a", "one").bytes())
                .layer(new TarBuilder().file("b", "two").bytes()));
    }

    private void serve(ImageBuilder served) {
        image = served;
        registry.serve("latest", image);
    }

    @AfterEach
    void stop() {
        registry.close();
        threads.shutdownNow();
    }

    private String manifestDigest() {
        return Digest.sha256(ImageBuilder.bytes(image.manifestText())).toString();
    }

    private String name() {
        return registry.authority() + "/web";
    }

    private Path store() {
        return folder.resolve("store");
    }

    private PreparedRootfs pull() throws InterruptedException {
        return new RootfsStore(store()).prepare(ImageReference.parse(name()), RootfsProgress.NONE);
    }

    private RegistryClient client() {
        return client(Duration.ofSeconds(50));
    }

    /** Nobody waits between attempts: the pauses are written down. */
    private RegistryClient client(Duration stall) {
        return new RegistryClient(Reference.parse(name()), new Patience(stall, pauses::add, () -> NOW), environment);
    }

    private BlobStore blobs() {
        return new BlobStore(folder.resolve("blobs-only"));
    }

    @Test
    void pullsOnceAndThenAsksNoMore() throws Exception {
        assertThat(pull().image()).exists();
        assertThat(requests).hasSize(4).doesNotHaveDuplicates();
        requests.clear();
        pull();
        assertThat(requests).isEmpty();
    }

    @Test
    void anImageThatIsThereNeedsNoHttpClient() throws Exception {
        pull(PullPolicy.MISSING, PullProgress.NONE).close();
        Set<String> before = threadsOfHttpClients();
        try (ImageSource _ = pull(PullPolicy.MISSING, PullProgress.NONE)) {
            assertThat(threadsOfHttpClients()).isSubsetOf(before);
        }
        try (ImageSource _ = pull(PullPolicy.ALWAYS, PullProgress.NONE)) {
            assertThat(threadsOfHttpClients()).isNotEmpty();
        }
    }

    private static Set<String> threadsOfHttpClients() {
        return Thread.getAllStackTraces().keySet().stream()
                .map(Thread::getName)
                .filter(name -> name.startsWith("HttpClient-"))
                .collect(Collectors.toSet());
    }

    private ImageSource pull(PullPolicy policy, PullProgress progress) throws InterruptedException {
        ImageSource source = ImageSource.pull(Reference.parse(name()), store(), policy, progress);
        new RootfsStore(store()).prepare(source, RootfsProgress.NONE);
        return source;
    }

    @Test
    void asksAlwaysOrNeverWhereItIsTold() throws Exception {
        assertThatThrownBy(() -> pull(PullPolicy.NEVER, PullProgress.NONE))
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.NOT_FOUND))
                .hasMessageContaining("--pull never");
        assertThat(requests).isEmpty();
        pull(PullPolicy.ALWAYS, PullProgress.NONE).close();
        requests.clear();
        pull(PullPolicy.NEVER, PullProgress.NONE).close();
        assertThat(requests).isEmpty();
        // The name means something else now, of which one layer is known.
        serve(new ImageBuilder()
                .gzipLayer(new TarBuilder().file("a", "one").bytes())
                .layer(new TarBuilder().file("c", "three").bytes()));
        pull(PullPolicy.MISSING, PullProgress.NONE).close();
        assertThat(requests).isEmpty();
        try (ImageSource source = pull(PullPolicy.ALWAYS, PullProgress.NONE)) {
            assertThat(source.registryDigest().orElseThrow()).hasToString(manifestDigest());
            assertThat(requests).hasSize(3); // the manifest by its name, its configuration, one layer
        }
    }

    @Test
    void fetchesThreeLayersAtOnceAndTellsHowFarTheyAre() throws Exception {
        ImageBuilder eight = new ImageBuilder();
        for (int i = 0; i < 8; i++) {
            eight.layer(new TarBuilder().file("file" + i, "content").bytes());
        }
        serve(eight);
        List<String> layers = new CopyOnWriteArrayList<>();
        CountDownLatch three = new CountDownLatch(3);
        AtomicInteger inFlight = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        misbehaviour = exchange -> {
            if (exchange.getRequestURI().getPath().contains("/blobs/") && layers.contains("manifest seen")) {
                most.accumulateAndGet(inFlight.incrementAndGet(), Math::max);
                three.countDown();
                awaitUninterruptibly(three); // none is answered before there are three
                inFlight.decrementAndGet();
            } else if (exchange.getRequestURI().getPath().contains("/blobs/")) {
                layers.add("manifest seen"); // the configuration is the first blob
            }
            return false;
        };
        Map<Digest, Long> told = new ConcurrentHashMap<>();
        try (ImageSource source = pull(PullPolicy.MISSING, (layer, bytes, total) -> told.put(layer, total - bytes))) {
            assertThat(source.layers()).hasSize(8);
        }
        assertThat(most).hasValue(3);
        assertThat(told).hasSize(8).allSatisfy((layer, left) -> assertThat(left).isZero());
    }

    @Test
    void pullThatIsInterruptedLeavesWhatHasCome() throws Exception {
        CountDownLatch over = new CountDownLatch(1);
        byte[] content = new byte[300_000];
        new Random(4).nextBytes(content);
        List<String> ranges = new CopyOnWriteArrayList<>();
        misbehaviour = stallsFirst(content, over, ranges);
        Digest digest = Digest.sha256(content);
        CountDownLatch most = new CountDownLatch(1);
        try (RegistryClient client = client()) {
            Future<?> pull = threads.submit(() -> {
                client.fetch(blobs(), false, digest, content.length, bytes -> {
                    if (bytes == 200_000) {
                        most.countDown();
                    }
                });
                return null;
            });
            most.await();
            pull.cancel(true);
            client.fetch(blobs(), false, digest, content.length, bytes -> {});
        } finally {
            over.countDown();
        }
        assertThat(ranges).containsExactly("bytes=200000-");
    }

    @Test
    void twoPullsAtOnceFetchEachBlobOnce() throws Exception {
        Callable<PreparedRootfs> pull = this::pull;
        for (var done : threads.invokeAll(List.of(pull, pull))) {
            assertThat(done.get().image()).exists();
        }
        assertThat(requests.stream().filter(path -> path.contains("/blobs/"))).doesNotHaveDuplicates();
    }

    @Test
    void tokenGoesToTheRegistryAndNotWhereItRedirects() throws Exception {
        List<String> leaked = new CopyOnWriteArrayList<>();
        LoopbackRegistry other = new LoopbackRegistry(exchange -> {
            leaked.addAll(exchange.getRequestHeaders().getOrDefault("Authorization", List.of()));
            return false;
        });
        other.serve("latest", image);
        misbehaviour = exchange -> {
            String path = exchange.getRequestURI().getPath();
            if (path.equals("/token")) {
                assertThat(exchange.getRequestURI().getQuery()).isEqualTo("scope=repository:web:pull&service=library");
                return send(exchange, 200, ImageBuilder.bytes("{\"token\":\"secret\"}"));
            }
            if (!"Bearer secret".equals(exchange.getRequestHeaders().getFirst("Authorization"))) {
                exchange.getResponseHeaders().set("WWW-Authenticate", "Bearer realm=\"/token\",service=\"library\"");
                return send(exchange, 401, new byte[0]);
            }
            if (path.contains("/blobs/")) {
                exchange.getResponseHeaders()
                        .set("Location", "http://127.0.0.1:" + other.port() + path.substring(path.lastIndexOf('/')));
                return send(exchange, 307, new byte[0]);
            }
            return false;
        };
        try (other) {
            assertThat(pull().image()).exists();
        }
        assertThat(leaked).isEmpty();
    }

    /** A file of docker in the only place that the client looks at. */
    private void keep(String config) throws IOException {
        Path file = Files.createDirectories(folder.resolve("docker")).resolve("config.json");
        Files.writeString(file, config.replace("HOST", Reference.parse(name()).registry()));
        environment.put("DOCKER_CONFIG", file.getParent().toString());
    }

    private static boolean challenges(HttpExchange exchange, String challenge) throws IOException {
        exchange.getResponseHeaders().set("WWW-Authenticate", challenge);
        return send(exchange, 401, new byte[0]);
    }

    private static String sent(HttpExchange exchange) {
        return exchange.getRequestHeaders().getFirst("Authorization");
    }

    private void pulls() throws Exception {
        try (RegistryClient client = client()) {
            assertThat(client.manifest().digest()).hasToString(manifestDigest());
        }
    }

    @Test
    void passwordGoesToWhoAsksForOne() throws Exception {
        keep("{\"auths\":{\"HOST\":{\"auth\":\"bWU6c2VjcmV0\"}}}");
        misbehaviour = exchange ->
                !"Basic bWU6c2VjcmV0".equals(sent(exchange)) && challenges(exchange, "Basic realm=\"here\"");
        pulls();
        assertThat(requests).hasSize(2);
    }

    @Test
    void passwordBuysATokenAndAnExpiredOneIsBoughtAgainOnce() throws Exception {
        keep("{\"auths\":{\"https://HOST/v1/\":{\"auth\":\"bWU6c2VjcmV0\"}}}");
        List<String> bought = new CopyOnWriteArrayList<>();
        misbehaviour = exchange -> {
            if (exchange.getRequestURI().getPath().equals("/token")) {
                bought.add(sent(exchange));
                return send(exchange, 200, ImageBuilder.bytes("{\"access_token\":\"number-" + bought.size() + "\"}"));
            }
            boolean fresh = ("Bearer number-" + bought.size()).equals(sent(exchange)) && bought.size() != 1;
            return !fresh && challenges(exchange, "Negotiate abc==, bearer service=\"a \\\"b\\\"\", realm=\"/token\"");
        };
        try (RegistryClient client = client()) {
            assertThatThrownBy(client::manifest).hasMessageContaining("refuses it to me");
            client.manifest();
        }
        assertThat(bought).containsExactly("Basic bWU6c2VjcmV0", "Basic bWU6c2VjcmV0");
    }

    @Test
    void identityTokenBuysATokenByPost() throws Exception {
        keep("{\"auths\":{\"HOST\":{\"auth\":\"PHRva2VuPjo=\",\"identitytoken\":\"who+am=i\"}}}");
        List<String> forms = new CopyOnWriteArrayList<>();
        misbehaviour = exchange -> {
            if (exchange.getRequestURI().getPath().equals("/token")) {
                forms.add(exchange.getRequestMethod() + " "
                        + new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8));
                return send(exchange, 200, ImageBuilder.bytes("{\"access_token\":\"new\"}"));
            }
            return !"Bearer new".equals(sent(exchange))
                    && challenges(exchange, "Bearer realm=\"/token\",service=\"hub\"");
        };
        pulls();
        assertThat(forms)
                .containsExactly("POST grant_type=refresh_token&client_id=runhv&scope=repository%3Aweb%3Apull"
                        + "&service=hub&refresh_token=who%2Bam%3Di");
    }

    @Test
    void passwordDoesNotGoWhereAnotherHostAsksForIt() throws Exception {
        keep("{\"auths\":{\"HOST\":{\"auth\":\"bWU6c2VjcmV0\"}}}");
        List<String> leaked = new CopyOnWriteArrayList<>();
        try (LoopbackRegistry other = new LoopbackRegistry(exchange -> {
            leaked.addAll(exchange.getRequestHeaders().getOrDefault("Authorization", List.of()));
            return challenges(exchange, "Basic realm=\"there\"");
        })) {
            String elsewhere = "http://127.0.0.1:" + other.port() + "/";
            refuses(exchange -> redirect(exchange, elsewhere), ErrorCode.ACCESS_DENIED, "does not say how to be asked");
        }
        assertThat(leaked).isEmpty();
    }

    @Test
    void checksWhomItAdmits() throws Exception {
        misbehaviour = exchange -> "Basic bWU6c2VjcmV0".equals(sent(exchange))
                ? send(exchange, 200, new byte[0])
                : challenges(exchange, "Basic realm=\"here\"");
        String registry = Reference.parse(name()).registry();
        RegistryClient.check(registry, new Credentials("me", "secret"), environment);
        assertThat(requests).containsOnly("/v2/");
        assertThatThrownBy(() -> RegistryClient.check(registry, new Credentials("me", "other"), environment))
                .hasMessageContaining("refuses it to me")
                .hasMessageNotContaining("other");
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "Wine resets no connection")
    void saysWhoEndedAConnectionBeforeItAnswered() throws Exception {
        try (ServerSocket rude = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
            var _ = threads.submit(() -> {
                while (true) {
                    try (Socket connection = rude.accept()) {
                        connection.getInputStream().read();
                        connection.setSoLinger(true, 0);
                    }
                }
            });
            String registry = "127.0.0.1:" + rude.getLocalPort();
            Credentials me = new Credentials("me", "secret");
            assertThatThrownBy(() -> RegistryClient.check(registry, me, environment))
                    .hasMessageContaining(registry + " ended the connection")
                    .hasMessageNotContaining("certificate");
            hosts(registry, "server = \"https://%s\"".formatted(registry));
            assertThatThrownBy(() -> RegistryClient.check(registry, me, environment))
                    .hasMessageContaining(registry + " ended the connection")
                    .hasMessageContaining("a client certificate");
        }
    }

    @Test
    void namesAFailureWithoutWords() {
        URI uri = URI.create("https://here:5000/v2/");
        assertThat(RegistryHost.named(uri, new IOException(null, new ClosedChannelException())))
                .hasMessageContaining("here:5000 ended the connection")
                .hasMessageContaining("a client certificate");
        assertThat(RegistryHost.named(uri, new IOException(null, new IOException(new IllegalStateException("odd")))))
                .hasMessage("here:5000 did not answer: java.lang.IllegalStateException: odd");
    }

    private void hosts(String toml) throws IOException {
        hosts(Reference.parse(name()).registry(), toml);
    }

    private void hosts(String registry, String toml) throws IOException {
        Path folder = Files.createDirectories(folder().resolve(registry.replace(':', '_') + "_"));
        Files.writeString(folder.resolve("hosts.toml"), toml);
        environment.put("RUNHV_REGISTRIES", folder().toString());
    }

    private Path folder() {
        return folder.resolve("certs.d");
    }

    @Test
    void mirrorIsAskedFirstAndTheRegistryWhereThatFails() throws Exception {
        List<String> mirrored = new CopyOnWriteArrayList<>();
        LoopbackRegistry mirror = new LoopbackRegistry(exchange -> {
            mirrored.add(exchange.getRequestURI() + " "
                    + exchange.getRequestHeaders().getFirst("X-Asked"));
            String path = exchange.getRequestURI().getPath();
            return send(exchange, path.contains("manifests") ? 404 : 503, new byte[0]);
        });
        hosts("""
                [host."http://127.0.0.1:%d/cache"]
                capabilities = ["pull", "resolve"]
                [host."http://127.0.0.1:%d/cache".header]
                x-asked = "by us"
                """.formatted(mirror.port(), mirror.port()));
        keep("{\"auths\":{\"HOST\":{\"auth\":\"bWU6c2VjcmV0\"}}}");
        try (mirror) {
            pulls();
            Digest digest = Digest.sha256(new byte[1]);
            misbehaviour = exchange -> send(exchange, 404, new byte[0]);
            try (RegistryClient client = client()) {
                assertThatThrownBy(() -> client.fetch(blobs(), false, digest, 1, bytes -> {}))
                        .hasMessageContaining(Reference.parse(name()).registry() + " does not have it; 127.0.0.1:")
                        .hasMessageContaining("answers with the status 503");
            }
        }
        assertThat(mirrored.getFirst())
                .isEqualTo("/cache/v2/web/manifests/latest?ns="
                        + Reference.parse(name()).registry() + " by us");
        assertThat(requests).first().asString().isEqualTo("/v2/web/manifests/latest");
    }

    @Test
    void proxyIsAskedForWhatIsNotHere() throws Exception {
        environment.put("http_proxy", Reference.parse(name()).registry());
        environment.put("NO_PROXY", "elsewhere.example");
        hosts("server = \"http://registry.example:81\"\n");
        pulls();
        assertThat(requests).containsExactly("/v2/web/manifests/latest");
    }

    @Test
    void passwordOfAProxyGoesToTheProxyAlone() throws Exception {
        List<String> said = new CopyOnWriteArrayList<>();
        misbehaviour = exchange -> {
            List<String> proxy = exchange.getRequestHeaders().getOrDefault("Proxy-authorization", List.of());
            said.add(exchange.getRequestURI().getPath() + " " + proxy);
            return false;
        };
        environment.put(
                "http_proxy", "http://me:secr%40t@" + Reference.parse(name()).registry());
        hosts("server = \"http://registry.example:81\"\n");
        pulls();
        environment.put("no_proxy", "*");
        hosts("");
        pulls();
        String basic = Base64.getEncoder().encodeToString("me:secr@t".getBytes(StandardCharsets.UTF_8));
        assertThat(said)
                .containsExactly("/v2/web/manifests/latest [Basic " + basic + "]", "/v2/web/manifests/latest []");
    }

    @Test
    void proxyThatAdmitsNobodyIsOneSentenceWithoutItsPassword() throws Exception {
        environment.put(
                "http_proxy", "http://me:secret@" + Reference.parse(name()).registry());
        hosts("server = \"http://registry.example:81\"\n");
        misbehaviour = exchange -> send(exchange, 407, new byte[0]);
        try (RegistryClient client = client()) {
            assertThatThrownBy(client::manifest)
                    .isInstanceOfSatisfying(
                            RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.ACCESS_DENIED))
                    .hasMessageContaining("The proxy refuses it")
                    .hasMessageNotContaining("secret");
        }
        assertThat(requests).hasSize(1);
    }

    @Test
    void goesOnWhereABodyBroke() throws Exception {
        byte[] content = new byte[300_000];
        new Random(1).nextBytes(content);
        List<String> ranges = new CopyOnWriteArrayList<>();
        misbehaviour = exchange -> {
            String range = exchange.getRequestHeaders().getFirst("Range");
            if (range == null) {
                exchange.sendResponseHeaders(200, content.length);
                OutputStream out = exchange.getResponseBody();
                out.write(content, 0, 200_000);
                out.flush();
                return true; // closed too early
            }
            ranges.add(range);
            int from = Integer.parseInt(range.substring("bytes=".length(), range.length() - 1));
            exchange.getResponseHeaders().set("Content-Range", "bytes " + from + "-299999/300000");
            return send(exchange, 206, Arrays.copyOfRange(content, from, content.length));
        };
        Digest digest = Digest.sha256(content);
        try (RegistryClient client = client()) {
            client.fetch(blobs(), false, digest, content.length, bytes -> {});
        }
        assertThat(ranges).hasSize(1);
        assertThat(blobs().path(digest)).hasBinaryContent(content);
    }

    /** The first answer brings 200,000 bytes and no more until {@code over}; those from a range on are whole. */
    private static LoopbackRegistry.Answer stallsFirst(byte[] content, CountDownLatch over, List<String> ranges) {
        return exchange -> {
            String range = exchange.getRequestHeaders().getFirst("Range");
            if (range == null) {
                exchange.sendResponseHeaders(200, content.length);
                exchange.getResponseBody().write(content, 0, 200_000);
                exchange.getResponseBody().flush();
                awaitUninterruptibly(over);
                return true;
            }
            ranges.add(range);
            int from = Integer.parseInt(range.substring("bytes=".length(), range.length() - 1));
            exchange.getResponseHeaders().set("Content-Range", "bytes " + from + "-299999/300000");
            return send(exchange, 206, Arrays.copyOfRange(content, from, content.length));
        };
    }

    @Test
    void bodyThatStallsIsAskedForAgainFromThereOn() throws Exception {
        byte[] content = new byte[300_000];
        new Random(2).nextBytes(content);
        CountDownLatch over = new CountDownLatch(1);
        List<String> ranges = new CopyOnWriteArrayList<>();
        misbehaviour = stallsFirst(content, over, ranges);
        Digest digest = Digest.sha256(content);
        try (RegistryClient client = client(Duration.ofMillis(300))) {
            client.fetch(blobs(), false, digest, content.length, bytes -> {});
        } finally {
            over.countDown();
        }
        assertThat(ranges).containsExactly("bytes=200000-");
        assertThat(blobs().path(digest)).hasBinaryContent(content);
    }

    @Test
    void bodyThatOnlyStallsEndsWithItsName() {
        CountDownLatch over = new CountDownLatch(1);
        misbehaviour = exchange -> {
            exchange.sendResponseHeaders(200, 100);
            exchange.getResponseBody().write('{');
            exchange.getResponseBody().flush();
            awaitUninterruptibly(over);
            return true;
        };
        try (RegistryClient client = client(Duration.ofMillis(100))) {
            assertThatThrownBy(client::manifest)
                    .isInstanceOf(IOException.class)
                    .hasMessageContaining("sent nothing more for 100 ms");
        } finally {
            over.countDown();
        }
        assertThat(requests).hasSize(Patience.ATTEMPTS);
    }

    private static void awaitUninterruptibly(CountDownLatch latch) throws IOException {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
    }

    @Test
    void bodiesThatBringSomethingAreAskedForAsOftenAsItTakes() throws Exception {
        int piece = (int) Patience.PROGRESS_BYTES + 1;
        byte[] content = new byte[piece * (Patience.ATTEMPTS + 3)];
        new Random(3).nextBytes(content);
        misbehaviour = exchange -> {
            String range = exchange.getRequestHeaders().getFirst("Range");
            int from = range == null ? 0 : Integer.parseInt(range.substring("bytes=".length(), range.length() - 1));
            exchange.getResponseHeaders()
                    .set("Content-Range", "bytes %d-%d/%d".formatted(from, content.length - 1, content.length));
            exchange.sendResponseHeaders(range == null ? 200 : 206, content.length - from);
            exchange.getResponseBody().write(content, from, Math.min(piece, content.length - from));
            exchange.getResponseBody().flush();
            return true;
        };
        Digest digest = Digest.sha256(content);
        try (RegistryClient client = client()) {
            client.fetch(blobs(), false, digest, content.length, bytes -> {});
        }
        assertThat(blobs().path(digest)).hasBinaryContent(content);
        assertThat(pauses).hasSize(Patience.ATTEMPTS + 2).containsOnly(Patience.FIRST_PAUSE);
    }

    @Test
    void waitsAsLongAsTheRegistryAsks() throws Exception {
        List<String> retryAfter = new ArrayList<>(List.of("7", "Sat, 28 Nov 2026 12:00:09 GMT", "nonsense"));
        misbehaviour = exchange -> {
            if (retryAfter.isEmpty()) {
                return false;
            }
            exchange.getResponseHeaders().set("Retry-After", retryAfter.removeFirst());
            return send(exchange, 429, new byte[0]);
        };
        try (RegistryClient client = client()) {
            assertThat(client.manifest().text()).isNotEmpty();
        }
        assertThat(pauses)
                .containsExactly(Duration.ofSeconds(7), Duration.ofSeconds(9), Patience.FIRST_PAUSE.multipliedBy(4));
    }

    @Test
    void doesNotWaitForHours() {
        misbehaviour = exchange -> {
            exchange.getResponseHeaders().set("Retry-After", "21600");
            return send(exchange, 429, new byte[0]);
        };
        refuses(misbehaviour, ErrorCode.HOST_FAILED, "the status 429");
        assertThat(pauses).isEmpty();
        assertThat(requests).hasSize(1);
    }

    @Test
    void wrongContentLeavesNothing() throws IOException {
        misbehaviour = exchange -> send(exchange, 200, ImageBuilder.bytes("wrong"));
        Digest digest = Digest.sha256(ImageBuilder.bytes("right"));
        try (RegistryClient client = client()) {
            assertThatThrownBy(() -> client.fetch(blobs(), false, digest, 5, bytes -> {}))
                    .isInstanceOf(CorruptInputException.class)
                    .hasMessageContaining("does not match its digest");
        }
        assertThat(blobs().path(digest)).doesNotExist();
        assertThat(blobs().root().resolve("partial/sha256-" + digest.hex())).isEmptyFile();
    }

    @Test
    void refusesByName() {
        refuses(exchange -> send(exchange, 503, new byte[0]), ErrorCode.HOST_FAILED, "the status 503");
        refuses(exchange -> send(exchange, 404, new byte[0]), ErrorCode.NOT_FOUND, "does not have it");
        refuses(
                exchange -> send(exchange, 403, new byte[0]),
                ErrorCode.ACCESS_DENIED,
                "refuses it to who has no credentials: runhv login localhost:");
        refuses(exchange -> redirect(exchange, "/again"), ErrorCode.HOST_FAILED, "redirects more than 5 times");
        refuses(exchange -> redirect(exchange, "file:///etc/passwd"), ErrorCode.HOST_FAILED, "no HTTPS URL");
        refuses(
                exchange -> {
                    if (exchange.getRequestURI().getPath().equals("/token")) {
                        return send(exchange, 200, ImageBuilder.bytes("{\"token\":\"useless\"}"));
                    }
                    exchange.getResponseHeaders().set("WWW-Authenticate", "Bearer realm=\"/token\"");
                    return send(exchange, 401, new byte[0]);
                },
                ErrorCode.ACCESS_DENIED,
                "refuses it");
    }

    private static boolean redirect(HttpExchange exchange, String to) throws IOException {
        exchange.getResponseHeaders().set("Location", to);
        return send(exchange, 302, new byte[0]);
    }

    private void refuses(LoopbackRegistry.Answer doing, ErrorCode code, String words) {
        misbehaviour = doing;
        try (RegistryClient client = client()) {
            assertThatThrownBy(client::manifest)
                    .isInstanceOfSatisfying(
                            RunhvException.class, e -> assertThat(e.code()).isEqualTo(code))
                    .hasMessageContaining(words);
        }
    }

    @Test
    void whatRefersToAManifestIsToldByTheApiElseByATag() throws Exception {
        Digest manifest = Digest.sha256(new byte[] {1});
        byte[] index = "{\"manifests\":[]}".getBytes(StandardCharsets.UTF_8);
        try (RegistryClient client = client()) {
            assertThat(client.referrers(manifest)).isEmpty();
            misbehaviour =
                    exchange -> exchange.getRequestURI().getPath().endsWith("/manifests/sha256-" + manifest.hex())
                            && send(exchange, 200, index);
            assertThat(client.referrers(manifest)).containsExactly(index);
            misbehaviour = exchange ->
                    exchange.getRequestURI().getPath().endsWith("/referrers/" + manifest) && send(exchange, 200, index);
            assertThat(client.referrers(manifest)).containsExactly(index);
            misbehaviour = exchange -> send(exchange, 403, new byte[0]);
            assertThatThrownBy(() -> client.referrers(manifest)).isInstanceOf(RunhvException.class);
        }
    }

    @Test
    void whatRefersToAManifestMayFillSeveralPages() throws Exception {
        Digest manifest = Digest.sha256(new byte[] {1});
        String path = "/v2/web/referrers/" + manifest;
        misbehaviour = exchange -> {
            String query = exchange.getRequestURI().getQuery();
            int page = query == null ? 1 : Integer.parseInt(query.replaceFirst("last=", ""));
            if (page == 1) {
                exchange.getResponseHeaders().add("Link", "<https://elsewhere.example/>; rel=\"help\"");
                exchange.getResponseHeaders().add("Link", "<" + path + "?last=2>; title=\"more\"; rel=\"next\"");
            } else if (page == 2) {
                exchange.getResponseHeaders().add("Link", "</elsewhere>; rel=prev, <" + path + "?last=3>;rel=next");
            }
            return send(exchange, 200, page(page));
        };
        try (RegistryClient client = client()) {
            assertThat(client.referrers(manifest)).containsExactly(page(1), page(2), page(3));
        }
        assertThat(requests).containsExactly(path, path, path);
    }

    private static byte[] page(int number) {
        return "{\"manifests\":[],\"page\":%d}".formatted(number).getBytes(StandardCharsets.UTF_8);
    }

    @Test
    void pagesThatDoNotEndAndOnePageThatLeadsElsewhereAreRefused() throws Exception {
        Digest manifest = Digest.sha256(new byte[] {1});
        misbehaviour = exchange -> {
            exchange.getResponseHeaders().add("Link", "<" + exchange.getRequestURI() + ">; rel=\"next\"");
            return send(exchange, 200, page(1));
        };
        try (RegistryClient client = client()) {
            assertThatThrownBy(() -> client.referrers(manifest))
                    .isInstanceOf(CorruptInputException.class)
                    .hasMessageContaining("more than " + RegistryClient.PAGES + " pages");
            misbehaviour = exchange -> {
                exchange.getResponseHeaders().add("Link", "<file:///etc/passwd>; rel=\"next\"");
                return send(exchange, 200, page(1));
            };
            assertThatThrownBy(() -> client.referrers(manifest)).hasMessageContaining("no HTTPS URL");
        }
    }

    @Test
    void endlessManifestEndsAtItsLimit() {
        misbehaviour = exchange -> {
            exchange.sendResponseHeaders(200, 0);
            byte[] block = new byte[1 << 16];
            for (int i = 0; i < 1600; i++) {
                exchange.getResponseBody().write(block);
            }
            return true;
        };
        try (RegistryClient client = client()) {
            assertThatThrownBy(client::manifest)
                    .isInstanceOf(CorruptInputException.class)
                    .hasMessageContaining("more than 4194304 bytes");
        }
    }
}
