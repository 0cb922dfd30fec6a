package dev.runhv.vmm.registry;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.BoundedBytes;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.Json;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.ConnectException;
import java.net.SocketException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.nio.channels.ClosedChannelException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.net.ssl.SSLException;

/**
 * Requests to one endpoint, with whatever it takes to be admitted there. Credentials go to the endpoint and to the service of
 * tokens that it names, a token to the endpoint; neither goes where it redirects to. For any number of threads.
 */
final class RegistryHost implements AutoCloseable {
    static final int TOKEN_BYTES = 1 << 20;

    private static final int REDIRECTS = 5;
    /** One link of perhaps several in a header. */
    private static final Pattern NEXT = Pattern.compile("<([^<>]*)>\\s*;[^<>,]*\\brel=\"?next\\b");

    private static final int DISCARDED_BYTES = 1 << 16;
    private static final Duration CONNECT = Duration.ofSeconds(15);
    private static final Duration ANSWER = Duration.ofSeconds(30);
    private static final String CLIENT_ID = "runhv";
    // What channels throw for the end of a connection is a plain IOException with the system's words (JDK 25).
    private static final Set<String> WORDS_OF_CHANNELS = Set.of("Broken pipe", "Connection reset by peer");

    private final Endpoint endpoint;
    private final String operation;
    private final List<String> scopes;
    private final Lookup credentials;
    private final Patience patience;
    private final Proxies proxies;
    private volatile HttpClient http; // null until it is asked: it costs threads, and Java's list of authorities
    private volatile String authorization = "";

    /** Where credentials come from once they are asked for. */
    interface Lookup {
        Optional<Credentials> find() throws InterruptedException;
    }

    /** @param scopes of tokens (Docker registry token authentication); none for one that only tells who asks */
    RegistryHost(
            Endpoint endpoint,
            String operation,
            List<String> scopes,
            Lookup credentials,
            Proxies proxies,
            Patience patience) {
        this.endpoint = endpoint;
        this.operation = operation;
        this.scopes = scopes;
        this.credentials = credentials;
        this.patience = patience;
        this.proxies = proxies;
    }

    private HttpClient http() {
        HttpClient made = http;
        return made == null ? makeHttp() : made;
    }

    private synchronized HttpClient makeHttp() {
        if (http == null) {
            HttpClient.Builder builder = HttpClient.newBuilder()
                    .connectTimeout(CONNECT)
                    .followRedirects(HttpClient.Redirect.NEVER)
                    .proxy(proxies);
            if (endpoint.tls() != null) {
                builder.sslContext(endpoint.tls());
            }
            http = builder.build();
        }
        return http;
    }

    Endpoint endpoint() {
        return endpoint;
    }

    /**
     * Its answer of status 200, or 206 where that begins at the offset.
     *
     * @param path below the API's
     * @param offset the first byte that is wanted
     * @throws RunhvException when it refuses, or fails again and again
     */
    HttpResponse<InputStream> get(String path, String accept, long offset) throws IOException, InterruptedException {
        Map<String, String> headers =
                offset > 0 ? Map.of("Accept", accept, "Range", "bytes=" + offset + "-") : Map.of("Accept", accept);
        return get(endpoint.uri(path), headers, offset);
    }

    private HttpResponse<InputStream> get(URI uri, Map<String, String> headers, long offset)
            throws IOException, InterruptedException {
        Request request = new Request("GET", uri, headers, Content.NONE);
        return ask(
                () -> request,
                response -> response.statusCode() == 200 || response.statusCode() == 206 && isFrom(response, offset));
    }

    /**
     * The page behind one of a listing (RFC 8288; OCI distribution 1.1, "Listing Referrers").
     *
     * @return empty behind the last one
     */
    Optional<HttpResponse<InputStream>> next(HttpResponse<?> page, String accept)
            throws IOException, InterruptedException {
        Optional<String> link = page.headers().allValues("Link").stream()
                .map(NEXT::matcher)
                .filter(Matcher::find)
                .map(found -> found.group(1))
                .findFirst();
        return link.isEmpty()
                ? Optional.empty()
                : Optional.of(get(target(page.uri(), link.get()), Map.of("Accept", accept), 0));
    }

    /** @param uri of the endpoint, or where it sent us to */
    record Request(String method, URI uri, Map<String, String> headers, Content content) {}

    /** What is asked: made anew for each attempt, since that which failed may have used it up. */
    interface Asking {
        Request next() throws IOException, InterruptedException;
    }

    /**
     * The first answer that is wanted. One that asks who we are is answered once, and one that may be better next time is
     * asked for again.
     *
     * @throws RunhvException when it refuses, or fails again and again
     */
    HttpResponse<InputStream> ask(Asking asking, Predicate<HttpResponse<?>> wanted)
            throws IOException, InterruptedException {
        String refused = null;
        for (int attempt = 1; ; attempt++) {
            Request request = asking.next();
            String used = authorization;
            HttpResponse<InputStream> response = follow(request, used);
            int status = response.statusCode();
            if (wanted.test(response)) {
                return response;
            }
            String words = Refusal.words(response);
            if (status == 401 && refused == null) {
                refused = used;
                renew(used, response);
            } else if (status == 401 || status == 403) {
                throw failure(ErrorCode.ACCESS_DENIED, "%s refuses it%s%s".formatted(host(), whoAsked(), words));
            } else if (status == 404) {
                throw failure(ErrorCode.NOT_FOUND, "%s does not have it%s".formatted(host(), words));
            } else if (status == 405) {
                throw failure(ErrorCode.UNSUPPORTED, "%s does not take it: it is read-only%s".formatted(host(), words));
            } else if (!patience.isWorthAsking(response) || attempt == Patience.ATTEMPTS) {
                throw failure(
                        ErrorCode.HOST_FAILED, "%s answers with the status %d%s".formatted(host(), status, words));
            } else {
                patience.pause(attempt, response);
            }
        }
    }

    private String whoAsked() throws InterruptedException {
        return credentials
                .find()
                .map(known -> known.isIdentityToken() ? " to the identity token that is kept" : " to " + known)
                .orElse(" to who has no credentials: runhv login " + endpoint.name());
    }

    /** RFC 9110 §14.4: what comes begins where it was asked for. */
    private static boolean isFrom(HttpResponse<?> response, long offset) {
        return response.headers()
                .firstValue("Content-Range")
                .map(range -> range.startsWith("bytes " + offset + "-"))
                .orElse(false);
    }

    private HttpResponse<InputStream> follow(Request first, String authorization)
            throws IOException, InterruptedException {
        URI uri = first.uri();
        for (int redirects = 0; redirects <= REDIRECTS; redirects++) {
            HttpRequest.Builder request = request(uri);
            first.headers().forEach(request::header);
            if (endpoint.isOrigin(uri)) {
                endpoint.headers().forEach((name, values) -> values.forEach(value -> request.header(name, value)));
                if (!authorization.isEmpty()) {
                    request.setHeader("Authorization", authorization);
                }
            }
            HttpResponse<InputStream> response = send(request, first.method(), first.content());
            if (!isRedirect(first.method(), response.statusCode())) {
                return response;
            }
            discard(response);
            uri = target(uri, response.headers().firstValue("Location").orElse(""));
        }
        throw failure(ErrorCode.HOST_FAILED, "%s redirects more than %d times".formatted(host(), REDIRECTS));
    }

    /** With what its proxy asks for: HttpClient keeps that from who is asked without one or through a tunnel. */
    private HttpRequest.Builder request(URI uri) {
        HttpRequest.Builder request = HttpRequest.newBuilder(uri);
        proxies.authorization(uri).ifPresent(said -> request.header("Proxy-Authorization", said));
        return request;
    }

    /** RFC 9110 §15.4: what carries content goes on to where it is sent only by those that keep the method. */
    private static boolean isRedirect(String method, int status) {
        boolean reads = method.equals("GET") || method.equals("HEAD");
        return status == 307 || status == 308 || reads && (status == 301 || status == 302 || status == 303);
    }

    private HttpResponse<InputStream> send(HttpRequest.Builder request, String method, Content content)
            throws IOException, InterruptedException {
        if (content.size() == 0) {
            return send(request.method(method, HttpRequest.BodyPublishers.noBody())
                    .timeout(ANSWER)
                    .build());
        }
        try (Content.Sending sending = content.new Sending(patience.stall())) {
            return passed(sending.send(
                    http(), request.method(method, sending.publisher()).build(), answerHandler()));
        } catch (IOException e) {
            throw named(request.build().uri(), e);
        }
    }

    private HttpResponse<InputStream> send(HttpRequest request) throws IOException, InterruptedException {
        try {
            return passed(http().send(request, answerHandler()));
        } catch (IOException e) {
            throw named(request.uri(), e);
        }
    }

    /** An answer that is no proxy's refusal; such a one to a CONNECT has no body. */
    private HttpResponse<InputStream> passed(HttpResponse<InputStream> response) {
        if (response.statusCode() != 407) {
            return response;
        }
        String jvm = System.getProperty(RegistryClient.DISABLED_FOR_TUNNELS) == null
                ? "; a program allows Java to send a password by -D" + RegistryClient.DISABLED_FOR_TUNNELS + "="
                : "";
        throw failure(
                ErrorCode.ACCESS_DENIED,
                "The proxy refuses it: HTTP_PROXY or HTTPS_PROXY names nobody whom it admits, as in http://USER:PASSWORD@HOST:PORT"
                        + jvm);
    }

    private HttpResponse.BodyHandler<InputStream> answerHandler() {
        return headers -> new TimedBody(patience.stall());
    }

    /** A failure that says whose it is and what it was; the JDK's has no words where a channel was closed. */
    static IOException named(URI uri, IOException failure) {
        return switch (failure) {
            case HttpTimeoutException e -> new IOException(uri.getAuthority() + " does not answer", e);
            case ConnectException e -> {
                // The JDK's has no words.
                ConnectException unreachable = new ConnectException(uri.getAuthority() + " cannot be reached");
                unreachable.initCause(e);
                yield unreachable;
            }
            case IOException e
            when isEndOfConnection(e) -> {
                // TLS 1.3: the reset overtakes the alert for who shows no certificate (RFC 8446 §4.4.2.4).
                String reason = "https".equals(uri.getScheme()) ? "; who demands a client certificate does so too" : "";
                yield new IOException(uri.getAuthority() + " ended the connection before it answered" + reason, e);
            }
            case SSLException e -> new SSLException(uri.getAuthority() + " cannot be trusted: " + e.getMessage(), e);
            case IOException e
            when e.getMessage() == null -> new IOException(uri.getAuthority() + " did not answer: " + innermost(e), e);
            case IOException e -> e;
        };
    }

    private static Throwable innermost(Throwable failure) {
        return failure.getCause() == null ? failure : innermost(failure.getCause());
    }

    /** The JDK wraps what the socket said, some layers deep. */
    private static boolean isEndOfConnection(Throwable failure) {
        return failure instanceof SocketException
                || failure instanceof EOFException
                || failure instanceof ClosedChannelException
                || WORDS_OF_CHANNELS.contains(String.valueOf(failure.getMessage()))
                || failure.getCause() != null && isEndOfConnection(failure.getCause());
    }

    /** The connection serves the next request where the body has come whole. */
    static void discard(HttpResponse<InputStream> response) throws IOException {
        try (InputStream in = response.body()) {
            in.readNBytes((int) Math.min(
                    DISCARDED_BYTES,
                    response.headers().firstValueAsLong("Content-Length").orElse(0)));
        }
    }

    /** The place that an answer names. */
    URI location(HttpResponse<?> response) {
        return target(
                response.uri(),
                response.headers()
                        .firstValue("Location")
                        .orElseThrow(() -> failure(ErrorCode.HOST_FAILED, host() + " names no place for an upload")));
    }

    private URI target(URI from, String location) {
        URI to;
        try {
            to = from.resolve(location);
        } catch (IllegalArgumentException e) {
            throw failure(ErrorCode.HOST_FAILED, host() + " redirects to what is no URL");
        }
        // HTTPS, or the plain HTTP of a registry that is spoken to so anyway.
        boolean safe = "https".equals(to.getScheme()) || "http".equals(to.getScheme()) && endpoint.isPlain();
        if (!safe || to.getHost() == null) {
            throw failure(ErrorCode.HOST_FAILED, host() + " redirects to what is no HTTPS URL");
        }
        return to;
    }

    /** @param used what was refused; another thread may have renewed it */
    private synchronized void renew(String used, HttpResponse<?> refusal) throws IOException, InterruptedException {
        if (!authorization.equals(used)) {
            return;
        }
        List<Challenge> challenges = endpoint.isOrigin(refusal.uri())
                ? Challenge.parse(refusal.headers().allValues("WWW-Authenticate"))
                : List.of();
        Optional<Credentials> known = credentials.find();
        Optional<Challenge> bearer =
                challenges.stream().filter(c -> c.scheme().equals("bearer")).findFirst();
        if (bearer.isPresent()) {
            authorization = "Bearer " + token(bearer.get(), known);
        } else if (challenges.stream().noneMatch(c -> c.scheme().equals("basic"))) {
            throw failure(ErrorCode.ACCESS_DENIED, "%s refuses it, and does not say how to be asked".formatted(host()));
        } else if (known.isPresent() && !known.get().isIdentityToken()) {
            authorization = "Basic " + known.get().encoded();
        } else {
            throw failure(
                    ErrorCode.ACCESS_DENIED,
                    "%s asks for a user and a password: runhv login %s".formatted(host(), endpoint.name()));
        }
    }

    /** From the service that the challenge names: for an identity token by OAuth 2 (RFC 6749 §6), else by GET. */
    private String token(Challenge challenge, Optional<Credentials> known) throws IOException, InterruptedException {
        URI realm = target(endpoint.base(), challenge.parameter("realm"));
        String service = challenge.parameter("service");
        String whose = service.isEmpty() ? "" : "&service=" + encoded(service);
        HttpRequest.Builder request;
        if (known.isPresent() && known.get().isIdentityToken()) {
            String wanted = scopes.isEmpty() ? "" : "&scope=" + encoded(String.join(" ", scopes));
            String form = "grant_type=refresh_token&client_id=" + CLIENT_ID + wanted + whose + "&refresh_token="
                    + encoded(known.get().secret());
            request = request(realm)
                    .header("Content-Type", "application/x-www-form-urlencoded")
                    .POST(HttpRequest.BodyPublishers.ofString(form));
        } else {
            String query =
                    scopes.stream().map(scope -> "&scope=" + encoded(scope)).collect(Collectors.joining()) + whose;
            String all = realm.getRawQuery() == null ? query.replaceFirst("^&", "?") : query;
            request = request(URI.create(realm + all));
            known.ifPresent(who -> request.header("Authorization", "Basic " + who.encoded()));
        }
        HttpResponse<InputStream> answer = send(request.timeout(ANSWER).build());
        if (answer.statusCode() != 200) {
            discard(answer);
            throw failure(
                    ErrorCode.ACCESS_DENIED,
                    "%s gives no token%s: status %d".formatted(realm.getHost(), whoAsked(), answer.statusCode()));
        }
        Json json = Json.parse(bounded(answer, TOKEN_BYTES, "token"));
        String token = json.string("token", "");
        if (token.isEmpty()) {
            token = json.string("access_token", "");
        }
        if (!token.chars().allMatch(c -> c > ' ' && c < 0x7f)) {
            throw new CorruptInputException("The token of " + realm.getHost() + " holds what no header may hold");
        }
        return token;
    }

    /** A small body whole. */
    static byte[] bounded(HttpResponse<InputStream> response, int limit, String what) throws IOException {
        try (InputStream in = response.body()) {
            return BoundedBytes.read(in, limit, "The " + what);
        }
    }

    private String host() {
        return endpoint.base().getAuthority();
    }

    private RunhvException failure(ErrorCode code, String detail) {
        return Failures.of(code, operation, detail);
    }

    private static String encoded(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }

    @Override
    public void close() {
        HttpClient made = http;
        if (made != null) {
            made.shutdownNow();
        }
    }
}
