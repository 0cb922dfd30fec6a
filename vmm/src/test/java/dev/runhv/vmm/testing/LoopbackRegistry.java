package dev.runhv.vmm.testing;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.runhv.vmm.content.Json;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Stream;

/**
 * A registry at a port of the loopback interface. It gives images by their tags and digests, whatever repository is asked
 * for, unless a test answers in its place.
 */
public final class LoopbackRegistry implements AutoCloseable {
    /** What a test does with a request; true where it has answered. */
    public interface Answer {
        boolean answer(HttpExchange exchange) throws IOException;
    }

    private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
    /** By what they are asked for: a tag or a digest. */
    private final Map<String, byte[]> served = new ConcurrentHashMap<>();

    private final Answer first;
    private final HttpServer server;

    public LoopbackRegistry() throws IOException {
        this(exchange -> false);
    }

    /** @param first is asked about each request, by several threads at once */
    public LoopbackRegistry(Answer first) throws IOException {
        this.first = first;
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.setExecutor(threads);
        server.createContext("/", this::answer);
        server.start();
    }

    private void answer(HttpExchange exchange) throws IOException {
        try (exchange) {
            if (first.answer(exchange)) {
                return;
            }
            String path = exchange.getRequestURI().getPath();
            byte[] body = served.get(path.substring(path.lastIndexOf('/') + 1));
            if (body == null) {
                send(exchange, 404, new byte[0]);
                return;
            }
            exchange.getResponseHeaders().set("Content-Type", ImageBuilder.MANIFEST);
            send(exchange, 200, body);
        }
    }

    /** @return true: that was the answer */
    public static boolean send(HttpExchange exchange, int status, byte[] body) throws IOException {
        exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
        exchange.getResponseBody().write(body);
        return true;
    }

    /** An answer of a registry that has all blobs, and takes each manifest. */
    public static boolean takesWhatIsPushed(HttpExchange exchange) throws IOException {
        return switch (exchange.getRequestMethod()) {
            case "HEAD" -> send(exchange, 200, new byte[0]);
            case "PUT" -> {
                exchange.getRequestBody().transferTo(OutputStream.nullOutputStream());
                yield send(exchange, 201, new byte[0]);
            }
            default -> false;
        };
    }

    /** From now on the tag means this image. */
    public void serve(String tag, ImageBuilder image) {
        served.put(tag, ImageBuilder.bytes(image.manifestText()));
        image.layout(tag)
                .forEach((name, content) -> served.put(
                        name.substring(name.lastIndexOf('/') + 1).replaceFirst("^[0-9a-f]{64}$", "sha256:$0"),
                        content));
    }

    /** From now on the tag means the first image of a layout on the disk. */
    public void serve(String tag, Path layout) throws IOException {
        try (Stream<Path> blobs = Files.list(layout.resolve("blobs/sha256"))) {
            for (Path blob : blobs.toList()) {
                served.put("sha256:" + blob.getFileName(), Files.readAllBytes(blob));
            }
        }
        Json index = Json.parse(Files.readAllBytes(layout.resolve("index.json")));
        served.put(tag, served.get(index.objects("manifests").getFirst().string("digest")));
    }

    public int port() {
        return server.getAddress().getPort();
    }

    /** {@code HOST:PORT}, as it stands before the repository in an image's name. */
    public String authority() {
        return "localhost:" + port();
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
    }
}
