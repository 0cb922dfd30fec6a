package dev.runhv.vmm.registry;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpExchange;
import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.testing.ImageBuilder;
import dev.runhv.vmm.testing.LoopbackRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Pushes to a registry of our own, which behaves or does not. */
@Timeout(60)
class RegistryUploadTest {
    private static final byte[] CONTENT = new byte[700_000];

    static {
        new Random(5).nextBytes(CONTENT);
    }

    private static final Digest DIGEST = Digest.sha256(CONTENT);
    private static final String UPLOADS = "/v2/web/blobs/uploads/";

    @TempDir
    Path folder;

    private final Map<String, String> environment = new HashMap<>();
    private final List<Duration> pauses = new CopyOnWriteArrayList<>();
    /** Method and URI of each request. */
    private final List<String> requests = new CopyOnWriteArrayList<>();

    private final Map<String, byte[]> taken = new ConcurrentHashMap<>();
    private final AtomicInteger sessions = new AtomicInteger();
    private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
    private volatile LoopbackRegistry.Answer misbehaviour = exchange -> false;
    private LoopbackRegistry registry;

    @BeforeEach
    void serve() throws IOException {
        registry = new LoopbackRegistry(this::answer);
        Path blob = store().path(DIGEST);
        Files.createDirectories(blob.getParent());
        Files.write(blob, CONTENT);
    }

    @AfterEach
    void stop() {
        registry.close();
        threads.shutdownNow();
    }

    /** OCI distribution 1.1, as far as a push needs it. */
    private boolean answer(HttpExchange exchange) throws IOException {
        String method = exchange.getRequestMethod();
        requests.add(method + " " + exchange.getRequestURI());
        if (misbehaviour.answer(exchange)) {
            return true;
        }
        String path = exchange.getRequestURI().getPath();
        return switch (method) {
            case "HEAD" -> send(exchange, taken.containsKey(path.replaceFirst(".*/", "")) ? 200 : 404);
            case "POST" -> begun(exchange, UPLOADS + sessions.incrementAndGet() + "?_state=a%2Fb");
            case "PUT" -> put(exchange, path);
            default -> send(exchange, 405);
        };
    }

    private boolean put(HttpExchange exchange, String path) throws IOException {
        byte[] body = exchange.getRequestBody().readAllBytes();
        String query = String.valueOf(exchange.getRequestURI().getRawQuery());
        if (path.startsWith(UPLOADS)) {
            assertThat(query).startsWith("_state=a%2Fb&digest=");
            String digest = query.substring(query.lastIndexOf('=') + 1);
            if (!digest.equals(Digest.sha256(body).toString())) {
                return refuse(exchange, 400, "DIGEST_INVALID", "provided digest did not match");
            }
            taken.put(digest, body);
        } else {
            taken.put(path + " " + exchange.getRequestHeaders().getFirst("Content-Type"), body);
            exchange.getResponseHeaders()
                    .set("Docker-Content-Digest", Digest.sha256(body).toString());
        }
        return send(exchange, 201);
    }

    private static boolean begun(HttpExchange exchange, String location) throws IOException {
        exchange.getResponseHeaders().set("Location", location);
        return send(exchange, 202);
    }

    private static boolean send(HttpExchange exchange, int status) throws IOException {
        return LoopbackRegistry.send(exchange, status, new byte[0]);
    }

    private static boolean refuse(HttpExchange exchange, int status, String code, String message) throws IOException {
        byte[] body =
                ImageBuilder.bytes("{\"errors\":[{\"code\":\"%s\",\"message\":\"%s\"}]}".formatted(code, message));
        exchange.getResponseHeaders().set("Content-Type", "application/json; charset=utf-8");
        exchange.sendResponseHeaders(status, exchange.getRequestMethod().equals("HEAD") ? -1 : body.length);
        if (!exchange.getRequestMethod().equals("HEAD")) {
            exchange.getResponseBody().write(body);
        }
        return true;
    }

    private String registry() {
        return registry.authority();
    }

    private BlobStore store() {
        return new BlobStore(folder.resolve("store"));
    }

    private RegistryUpload upload(Duration stall, String... sources) {
        return new RegistryUpload(
                Reference.parse(registry() + "/web:v1"),
                List.of(sources),
                new Patience(stall, pauses::add, InstantSource.system()),
                environment);
    }

    private void push() throws IOException, InterruptedException {
        push(Optional.empty());
    }

    private void push(Optional<String> source) throws IOException, InterruptedException {
        try (RegistryUpload upload =
                upload(Duration.ofSeconds(50), source.stream().toArray(String[]::new))) {
            upload.blob(store(), DIGEST, CONTENT.length, source, bytes -> {});
        }
    }

    private static boolean is(HttpExchange exchange, String method, String path) {
        return exchange.getRequestMethod().equals(method)
                && exchange.getRequestURI().getPath().startsWith(path);
    }

    @Test
    void sendsWhatTheRegistryDoesNotHave() throws Exception {
        List<Long> told = new ArrayList<>();
        byte[] manifest = ImageBuilder.bytes("{}");
        try (RegistryUpload upload = upload(Duration.ofSeconds(50))) {
            upload.blob(store(), DIGEST, CONTENT.length, Optional.empty(), told::add);
            upload.manifest(ImageBuilder.MANIFEST, manifest, true);
            upload.manifest(ImageBuilder.MANIFEST, manifest, false);
        }
        String digest = Digest.sha256(manifest).toString();
        assertThat(taken)
                .containsOnlyKeys(
                        DIGEST.toString(),
                        "/v2/web/manifests/v1 " + ImageBuilder.MANIFEST,
                        "/v2/web/manifests/" + digest + " " + ImageBuilder.MANIFEST);
        assertThat(taken.get(DIGEST.toString())).isEqualTo(CONTENT);
        assertThat(told).isSorted().last().isEqualTo((long) CONTENT.length);
        requests.clear();
        push();
        assertThat(requests).containsExactly("HEAD /v2/web/blobs/" + DIGEST);
    }

    @Test
    void emptyBlobIsSentToo() throws Exception {
        Digest empty = Digest.sha256(new byte[0]);
        Files.write(store().path(empty), new byte[0]);
        try (RegistryUpload upload = upload(Duration.ofSeconds(50))) {
            upload.blob(store(), empty, 0, Optional.empty(), bytes -> {});
        }
        assertThat(taken).containsKey(empty.toString());
    }

    @Test
    void mountsWhatAnotherRepositoryHas() throws Exception {
        misbehaviour = exchange -> is(exchange, "POST", UPLOADS) && send(exchange, 201);
        push(Optional.of("base"));
        assertThat(requests)
                .containsExactly("HEAD /v2/web/blobs/" + DIGEST, "POST " + UPLOADS + "?mount=" + DIGEST + "&from=base");
    }

    @Test
    void sendsWhatCannotBeMountedToThePlaceThatCameInstead() throws Exception {
        push(Optional.of("base"));
        assertThat(taken).containsKey(DIGEST.toString());
        assertThat(requests).hasSize(3);
    }

    @Test
    void beginsAgainWhatBroke() throws Exception {
        List<String> broken = new CopyOnWriteArrayList<>();
        misbehaviour = exchange -> {
            if (is(exchange, "PUT", UPLOADS + "1")) {
                exchange.getRequestBody().readNBytes(100_000);
                broken.add("cut off");
                return true; // closed without an answer
            }
            return is(exchange, "PUT", UPLOADS + "2") && drained(exchange) && send(exchange, 503);
        };
        push();
        assertThat(broken).hasSize(1);
        assertThat(taken.get(DIGEST.toString())).isEqualTo(CONTENT);
        assertThat(pauses).hasSize(2);
        assertThat(sessions).hasValue(3);
    }

    private static boolean drained(HttpExchange exchange) throws IOException {
        exchange.getRequestBody().transferTo(java.io.OutputStream.nullOutputStream());
        return true;
    }

    /** The blob was taken, and the answer lost. */
    @Test
    void asksWhetherItIsThereBeforeItBeginsAgain() throws Exception {
        misbehaviour = exchange -> {
            if (is(exchange, "PUT", UPLOADS)) {
                taken.put(DIGEST.toString(), exchange.getRequestBody().readAllBytes());
                return true;
            }
            return false;
        };
        push();
        assertThat(sessions).hasValue(1);
        assertThat(requests).last().isEqualTo("HEAD /v2/web/blobs/" + DIGEST);
    }

    @Test
    void uploadThatStallsIsBegunAgain() throws Exception {
        CountDownLatch over = new CountDownLatch(1);
        misbehaviour = exchange -> {
            if (is(exchange, "PUT", UPLOADS + "1")) {
                exchange.getRequestBody().readNBytes(1000);
                awaitUninterruptibly(over);
                return true;
            }
            return false;
        };
        try (RegistryUpload upload = upload(Duration.ofMillis(300))) {
            upload.blob(store(), DIGEST, CONTENT.length, Optional.empty(), bytes -> {});
        } finally {
            over.countDown();
        }
        assertThat(taken).containsKey(DIGEST.toString());
    }

    @Test
    void pushThatIsInterruptedEnds() throws Exception {
        CountDownLatch sending = new CountDownLatch(1);
        CountDownLatch over = new CountDownLatch(1);
        CountDownLatch ended = new CountDownLatch(1);
        misbehaviour = exchange -> {
            if (is(exchange, "PUT", UPLOADS)) {
                sending.countDown();
                awaitUninterruptibly(over);
            }
            return false;
        };
        try {
            Future<?> push = threads.submit(() -> {
                try {
                    push();
                } catch (InterruptedException e) {
                    ended.countDown();
                }
                return null;
            });
            sending.await();
            push.cancel(true);
            ended.await();
        } finally {
            over.countDown();
        }
    }

    private static void awaitUninterruptibly(CountDownLatch latch) throws IOException {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
    }

    @Test
    void tokenIsForBothRepositoriesAndGoesToTheRegistryOnly() throws Exception {
        List<String> elsewhere = new CopyOnWriteArrayList<>();
        LoopbackRegistry other = new LoopbackRegistry(exchange -> {
            elsewhere.addAll(exchange.getRequestHeaders().getOrDefault("Authorization", List.of()));
            elsewhere.add(exchange.getRequestMethod() + " "
                    + exchange.getRequestBody().readAllBytes().length);
            return send(exchange, 201);
        });
        List<String> queries = new CopyOnWriteArrayList<>();
        misbehaviour = exchange -> {
            if (exchange.getRequestURI().getPath().equals("/token")) {
                queries.add(exchange.getRequestURI().getQuery());
                return LoopbackRegistry.send(exchange, 200, ImageBuilder.bytes("{\"token\":\"secret\"}"));
            }
            if (!"Bearer secret".equals(exchange.getRequestHeaders().getFirst("Authorization"))) {
                exchange.getResponseHeaders().set("WWW-Authenticate", "Bearer realm=\"/token\",service=\"s\"");
                return send(exchange, 401);
            }
            return is(exchange, "POST", UPLOADS)
                    && begun(exchange, "http://127.0.0.1:" + other.port() + "/put?signed=1");
        };
        try (other) {
            push(Optional.of("base"));
        }
        assertThat(queries).containsExactly("scope=repository:web:pull,push&scope=repository:base:pull&service=s");
        assertThat(elsewhere).containsExactly("PUT " + CONTENT.length);
    }

    @Test
    void uploadThatIsSentOnKeepsItsMethodAndContent() throws Exception {
        misbehaviour = exchange -> {
            if (is(exchange, "PUT", UPLOADS + "1")) {
                drained(exchange);
                exchange.getResponseHeaders()
                        .set(
                                "Location",
                                UPLOADS + "7?" + exchange.getRequestURI().getRawQuery());
                return send(exchange, 307);
            }
            return false;
        };
        push();
        assertThat(taken.get(DIGEST.toString())).isEqualTo(CONTENT);
    }

    @Test
    void refusalsAtEachStepAreOneSentence() {
        String there = "push image " + registry() + "/web:v1";
        refuses(
                "HEAD",
                exchange -> send(exchange, 403),
                ErrorCode.ACCESS_DENIED,
                "refuses it to who has no credentials");
        refuses("HEAD", exchange -> send(exchange, 500), ErrorCode.HOST_FAILED, "answers with the status 500");
        refuses(
                "POST",
                exchange -> refuse(exchange, 405, "UNSUPPORTED", "The operation is unsupported."),
                ErrorCode.UNSUPPORTED,
                there + ": " + registry()
                        + " does not take it: it is read-only: UNSUPPORTED, The operation is unsupported.");
        refuses(
                "POST",
                exchange -> refuse(exchange, 403, "DENIED", "read\\u001b[only"),
                ErrorCode.ACCESS_DENIED,
                ": DENIED, read\\x1b[only");
        refuses("POST", exchange -> refuse(exchange, 404, "NAME_UNKNOWN", ""), ErrorCode.NOT_FOUND, ": NAME_UNKNOWN");
        refuses("POST", exchange -> begun(exchange, "ftp://elsewhere/"), ErrorCode.HOST_FAILED, "no HTTPS URL");
        refuses("POST", exchange -> send(exchange, 202), ErrorCode.HOST_FAILED, "names no place for an upload");
        refuses(
                "PUT",
                exchange -> drained(exchange) && refuse(exchange, 400, "DIGEST_INVALID", "no match"),
                ErrorCode.HOST_FAILED,
                "the status 400: DIGEST_INVALID, no match");
        refuses("PUT", exchange -> drained(exchange) && send(exchange, 502), ErrorCode.HOST_FAILED, "the status 502");
        refuses(
                "PUT",
                exchange -> {
                    drained(exchange);
                    exchange.getResponseHeaders().set("Location", "/elsewhere");
                    return send(exchange, 302);
                },
                ErrorCode.HOST_FAILED,
                "the status 302");
        assertThat(taken).isEmpty();
    }

    private void refuses(String method, LoopbackRegistry.Answer doing, ErrorCode code, String words) {
        misbehaviour = exchange -> exchange.getRequestMethod().equals(method) && doing.answer(exchange);
        assertThatThrownBy(this::push)
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(code))
                .hasMessageContaining(words);
    }

    @Test
    void wrongContentInTheStoreIsNotTaken() throws Exception {
        Files.write(store().path(DIGEST), ImageBuilder.bytes("x".repeat(CONTENT.length)));
        assertThatThrownBy(this::push).hasMessageContaining("DIGEST_INVALID, provided digest did not match");
        Files.write(store().path(DIGEST), new byte[1]);
        assertThatThrownBy(this::push).isInstanceOf(IOException.class);
        assertThat(taken).isEmpty();
    }

    @Test
    void manifestThatBecomesAnotherIsAnError() {
        misbehaviour = exchange -> {
            exchange.getResponseHeaders().set("Docker-Content-Digest", DIGEST.toString());
            return drained(exchange) && send(exchange, 201);
        };
        try (RegistryUpload upload = upload(Duration.ofSeconds(50))) {
            assertThatThrownBy(() -> upload.manifest(ImageBuilder.MANIFEST, ImageBuilder.bytes("{}"), true))
                    .isInstanceOf(CorruptInputException.class)
                    .hasMessageContaining("as " + DIGEST);
        }
    }

    @Test
    void onlyATagIsPushedAndOnlyToWhoTakesIt() throws Exception {
        assertThatThrownBy(() -> new RegistryUpload(
                        Reference.parse(registry() + "/web@" + DIGEST), List.of(), Patience.USUAL, environment))
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_ARGUMENT));
        Path hosts = Files.createDirectories(folder.resolve("certs.d/_default"));
        Files.writeString(hosts.resolve("hosts.toml"), "capabilities = [\"pull\", \"resolve\"]\n");
        environment.put("RUNHV_REGISTRIES", hosts.getParent().toString());
        assertThatThrownBy(this::push)
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.UNSUPPORTED))
                .hasMessageContaining("hosts.toml");
        assertThat(requests).isEmpty();
    }
}
