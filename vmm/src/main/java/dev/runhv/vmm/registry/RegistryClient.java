package dev.runhv.vmm.registry;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Json;
import java.io.IOException;
import java.io.InputStream;
import java.net.ConnectException;
import java.net.ProxySelector;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Pulls from the repository of one reference, as nobody: OCI distribution 1.1 over HTTPS, or plain HTTP where the registry is
 * this machine. A token goes to the registry that asked for it and to no other host. Not for several threads.
 */
public final class RegistryClient implements AutoCloseable {
    private static final int MANIFEST_BYTES = 4 << 20;
    private static final int TOKEN_BYTES = 1 << 20;
    private static final int REDIRECTS = 5;
    private static final Duration CONNECT = Duration.ofSeconds(15);
    private static final Duration ANSWER = Duration.ofSeconds(30);
    private static final String ACCEPT = "application/vnd.oci.image.index.v1+json,"
            + "application/vnd.oci.image.manifest.v1+json,"
            + "application/vnd.docker.distribution.manifest.list.v2+json,"
            + "application/vnd.docker.distribution.manifest.v2+json";
    private static final Pattern PARAMETER = Pattern.compile("([A-Za-z]+)=\"([^\"\\\\]*)\"");

    private final Reference reference;
    private final String operation;
    private final URI base;
    private final Patience patience;
    private final HttpClient http;
    private String authorization = "";

    public RegistryClient(Reference reference) {
        this(reference, Patience.USUAL);
    }

    RegistryClient(Reference reference, Patience patience) {
        this.reference = reference;
        this.operation = "pull image " + reference;
        this.base = base(reference.registry());
        this.patience = patience;
        this.http = HttpClient.newBuilder()
                .connectTimeout(CONNECT)
                .followRedirects(HttpClient.Redirect.NEVER)
                .proxy(ProxySelector.getDefault())
                .build();
    }

    /** A manifest or an index as the registry has it. */
    public record Found(String mediaType, byte[] text, Digest digest) {}

    /** @throws RunhvException when there is none, or the registry does not give it */
    public Found manifest() throws IOException, InterruptedException {
        URI uri = base.resolve("/v2/" + reference.repository() + "/manifests/" + reference.tagOrDigest());
        Patience.Attempts attempts = patience.new Attempts();
        while (true) {
            try {
                return found(get(uri, 0));
            } catch (ConnectException e) {
                throw e;
            } catch (IOException e) {
                attempts.again(e);
            }
        }
    }

    private Found found(HttpResponse<InputStream> response) throws IOException {
        byte[] text = bounded(response, MANIFEST_BYTES, "manifest");
        Digest digest = Digest.sha256(text);
        if (reference.digest().isPresent() && !reference.digest().get().equals(digest)) {
            throw new CorruptInputException("The registry sent the manifest %s for %s"
                    .formatted(digest, reference.digest().get()));
        }
        String mediaType = response.headers().firstValue("Content-Type").orElse("");
        return new Found(mediaType.split(";", 2)[0].strip(), text, digest);
    }

    /**
     * Brings content of the repository into a store that does not have it.
     *
     * @param manifest whether it is a manifest or an index, which are kept apart from blobs
     * @throws RunhvException when the registry does not give it, also after several attempts
     * @throws CorruptInputException when it is not what the digest says
     */
    public void fetch(BlobStore store, boolean manifest, Digest digest, long size)
            throws IOException, InterruptedException {
        URI uri = base.resolve(
                "/v2/" + reference.repository() + (manifest ? "/manifests/" : "/blobs/") + digest.toString());
        Patience.Attempts attempts = patience.new Attempts();
        while (true) {
            try {
                store.fetch(digest, size, offset -> {
                    attempts.reached(offset);
                    HttpResponse<InputStream> response = get(uri, offset);
                    return new BlobStore.Body(response.body(), response.statusCode() == 206 ? offset : 0);
                });
                return;
            } catch (IOException e) {
                attempts.again(e);
            }
        }
    }

    private HttpResponse<InputStream> get(URI uri, long offset) throws IOException, InterruptedException {
        boolean asked = false;
        for (int attempt = 1; ; attempt++) {
            HttpResponse<InputStream> response = follow(uri, offset);
            int status = response.statusCode();
            if (status == 200 || status == 206 && isFrom(response, offset)) {
                return response;
            }
            response.body().close();
            if (status == 401 && !asked) {
                asked = true;
                authorization = token(response);
            } else if (status == 401 || status == 403) {
                throw failure(
                        ErrorCode.ACCESS_DENIED,
                        "%s refuses it: runhv pulls without credentials in this version"
                                .formatted(reference.registry()));
            } else if (status == 404) {
                throw failure(ErrorCode.NOT_FOUND, "%s does not have it".formatted(reference.registry()));
            } else if (!patience.isWorthAsking(response) || attempt == Patience.ATTEMPTS) {
                throw failure(
                        ErrorCode.HOST_FAILED, "%s answers with the status %d".formatted(reference.registry(), status));
            } else {
                patience.pause(attempt, response);
            }
        }
    }

    /** RFC 9110 §14.4: what comes begins where it was asked for. */
    private static boolean isFrom(HttpResponse<?> response, long offset) {
        return response.headers()
                .firstValue("Content-Range")
                .map(range -> range.startsWith("bytes " + offset + "-"))
                .orElse(false);
    }

    private HttpResponse<InputStream> follow(URI first, long offset) throws IOException, InterruptedException {
        URI uri = first;
        for (int redirects = 0; redirects <= REDIRECTS; redirects++) {
            HttpRequest.Builder request =
                    HttpRequest.newBuilder(uri).timeout(ANSWER).header("Accept", ACCEPT + ",*/*");
            if (offset > 0) {
                request.header("Range", "bytes=" + offset + "-");
            }
            if (!authorization.isEmpty() && sameOrigin(uri, base)) {
                request.header("Authorization", authorization);
            }
            HttpResponse<InputStream> response = send(request.build());
            int status = response.statusCode();
            if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308) {
                return response;
            }
            response.body().close();
            uri = target(uri, response.headers().firstValue("Location").orElse(""));
        }
        throw failure(
                ErrorCode.HOST_FAILED, "%s redirects more than %d times".formatted(reference.registry(), REDIRECTS));
    }

    private HttpResponse<InputStream> send(HttpRequest request) throws IOException, InterruptedException {
        try {
            return http.send(request, headers -> new TimedBody(patience.stall()));
        } catch (HttpTimeoutException e) {
            throw new IOException(request.uri().getAuthority() + " does not answer", e);
        } catch (ConnectException e) {
            // The JDK's has no words.
            ConnectException unreachable = new ConnectException(request.uri().getAuthority() + " cannot be reached");
            unreachable.initCause(e);
            throw unreachable;
        }
    }

    private URI target(URI from, String location) {
        URI to;
        try {
            to = from.resolve(location);
        } catch (IllegalArgumentException e) {
            throw failure(ErrorCode.HOST_FAILED, reference.registry() + " redirects to what is no URL");
        }
        requireSafe(to, "redirects");
        return to;
    }

    /** HTTPS, or the plain HTTP of a registry that is spoken to so anyway. */
    private void requireSafe(URI uri, String does) {
        boolean safe = "https".equals(uri.getScheme()) || "http".equals(uri.getScheme()) && isPlain();
        if (!safe || uri.getHost() == null) {
            throw failure(ErrorCode.HOST_FAILED, "%s %s to what is no HTTPS URL".formatted(reference.registry(), does));
        }
    }

    private boolean isPlain() {
        return base.getScheme().equals("http");
    }

    private static boolean sameOrigin(URI a, URI b) {
        return a.getScheme().equals(b.getScheme()) && a.getAuthority().equalsIgnoreCase(b.getAuthority());
    }

    /** A token for anybody, from the service that the challenge names (Docker registry token authentication). */
    private String token(HttpResponse<?> response) throws IOException, InterruptedException {
        String challenge = response.headers().firstValue("WWW-Authenticate").orElse("");
        if (!challenge.toLowerCase(Locale.ROOT).startsWith("bearer ") || !sameOrigin(response.uri(), base)) {
            throw failure(
                    ErrorCode.ACCESS_DENIED,
                    "%s asks for credentials: runhv pulls without in this version".formatted(reference.registry()));
        }
        Map<String, String> parameters = new HashMap<>();
        Matcher matcher = PARAMETER.matcher(challenge);
        while (matcher.find()) {
            parameters.put(matcher.group(1).toLowerCase(Locale.ROOT), matcher.group(2));
        }
        URI realm = target(base, parameters.getOrDefault("realm", ""));
        String query = "scope=" + encoded("repository:" + reference.repository() + ":pull");
        if (parameters.containsKey("service")) {
            query += "&service=" + encoded(parameters.get("service"));
        }
        URI uri = URI.create(realm + (realm.getRawQuery() == null ? "?" : "&") + query);
        HttpResponse<InputStream> answer =
                send(HttpRequest.newBuilder(uri).timeout(ANSWER).build());
        if (answer.statusCode() != 200) {
            answer.body().close();
            throw failure(
                    ErrorCode.ACCESS_DENIED,
                    "%s gives no token: status %d".formatted(realm.getHost(), answer.statusCode()));
        }
        Json json = Json.parse(bounded(answer, TOKEN_BYTES, "token"));
        String token = json.string("token", json.string("access_token", ""));
        if (!token.chars().allMatch(c -> c > ' ' && c < 0x7f)) {
            throw new CorruptInputException("The token of " + realm.getHost() + " holds what no header may hold");
        }
        return "Bearer " + token;
    }

    private static byte[] bounded(HttpResponse<InputStream> response, int limit, String what) throws IOException {
        try (InputStream in = response.body()) {
            byte[] text = in.readNBytes(limit + 1);
            if (text.length > limit) {
                throw new CorruptInputException("The %s has more than %d bytes".formatted(what, limit));
            }
            return text;
        }
    }

    private RunhvException failure(ErrorCode code, String detail) {
        return RunhvException.of(code, operation, detail, null, null);
    }

    private static String encoded(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }

    private static URI base(String registry) {
        if (registry.equals("docker.io")) {
            return URI.create("https://registry-1.docker.io/");
        }
        URI uri = URI.create("https://" + registry + "/");
        // As docker does: what does not leave the machine needs no secrecy.
        boolean local = uri.getHost().equals("localhost")
                || uri.getHost().startsWith("127.")
                || uri.getHost().equals("[::1]");
        return local ? URI.create("http://" + registry + "/") : uri;
    }

    @Override
    public void close() {
        http.shutdownNow();
    }
}
