package dev.runhv.vmm.registry;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CallerEnvironment;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.LongConsumer;
import javax.net.ssl.SSLException;

/**
 * Pushes to the repository of one reference: OCI distribution 1.1, "Pushing". Of several endpoints the first that takes
 * pushes is asked. A blob that is there is not sent, and one that breaks off is begun again. For any number of threads.
 */
public final class RegistryUpload implements AutoCloseable {
    private final Reference reference;
    private final Patience patience;
    private final RegistryHost host;

    /**
     * As the environment of this process and the files that it names have it.
     *
     * @param sources repositories of the same registry that blobs may be mounted from: they are asked to be read
     * @throws RunhvException where the reference has a digest in place of a tag, or no endpoint takes pushes
     */
    public RegistryUpload(Reference reference, Collection<String> sources) {
        this(reference, sources, Patience.USUAL, CallerEnvironment.get());
    }

    /** @param environment names the files of credentials and hosts, and the proxies */
    RegistryUpload(
            Reference reference, Collection<String> sources, Patience patience, Map<String, String> environment) {
        String operation = "push image " + reference;
        if (reference.digest().isPresent()) {
            throw Failures.invalid(operation, "An image is pushed to a tag: write NAME[:TAG]");
        }
        Endpoint endpoint = new HostFiles(environment)
                .endpoints(reference.registry()).stream()
                        .filter(each -> each.capabilities().contains(Endpoint.Capability.PUSH))
                        .findFirst()
                        .orElseThrow(() ->
                                Failures.unsupported(operation, "No host of it may be pushed to: see its hosts.toml"));
        List<String> scopes = new ArrayList<>(List.of("repository:" + reference.repository() + ":pull,push"));
        sources.forEach(source -> scopes.add("repository:" + source + ":pull"));
        CredentialFiles credentials = new CredentialFiles(environment);
        this.reference = reference;
        this.patience = patience;
        this.host = new RegistryHost(
                endpoint,
                operation,
                scopes,
                () -> credentials.find(endpoint.name(), reference.repository()),
                new Proxies(environment),
                patience);
    }

    /**
     * @param source the repository of the same registry that has it, too
     * @param progress is told how many bytes of it are on their way; as many as it has where it is there
     * @throws RunhvException when the registry does not take it, also after several attempts
     */
    public void blob(BlobStore store, Digest digest, long size, Optional<String> source, LongConsumer progress)
            throws IOException, InterruptedException {
        Content content = new Content(size, () -> Files.newInputStream(store.path(digest)), progress);
        severalTimes(() -> {
            Session session = new Session(digest, content);
            if (!has(digest) && !(source.isPresent() && session.isMountedFrom(source.get()))) {
                HttpResponse<InputStream> created = host.ask(session, RegistryUpload::isTaken);
                RegistryHost.discard(created);
            }
        });
        progress.accept(size);
    }

    /**
     * @param named by its tag, else by its digest
     * @throws RunhvException when the registry does not take it, also after several attempts
     * @throws CorruptInputException when it took something else
     */
    public void manifest(String mediaType, byte[] text, boolean named) throws IOException, InterruptedException {
        Digest digest = Digest.sha256(text);
        Content content = new Content(text.length, () -> new ByteArrayInputStream(text), bytes -> {});
        RegistryHost.Request put = new RegistryHost.Request(
                "PUT",
                host.endpoint()
                        .uri(reference.repository() + "/manifests/" + (named ? reference.tag() : digest.toString())),
                Map.of("Content-Type", mediaType),
                content);
        severalTimes(() -> {
            HttpResponse<InputStream> created = host.ask(() -> put, RegistryUpload::isTaken);
            RegistryHost.discard(created);
            String taken = created.headers().firstValue("Docker-Content-Digest").orElse(digest.toString());
            if (!taken.equals(digest.toString())) {
                throw new CorruptInputException("The registry took %s as %s".formatted(digest, taken));
            }
        });
    }

    private interface Work {
        void run() throws IOException, InterruptedException;
    }

    private void severalTimes(Work work) throws IOException, InterruptedException {
        Patience.Attempts attempts = patience.new Attempts();
        while (true) {
            try {
                work.run();
                return;
            } catch (ConnectException | SSLException e) {
                throw e;
            } catch (IOException e) {
                attempts.again(e);
            }
        }
    }

    private static boolean isTaken(HttpResponse<?> response) {
        return response.statusCode() == 201;
    }

    private boolean has(Digest digest) throws IOException, InterruptedException {
        RegistryHost.Request head = new RegistryHost.Request(
                "HEAD", host.endpoint().uri(reference.repository() + "/blobs/" + digest), Map.of(), Content.NONE);
        HttpResponse<InputStream> answer =
                host.ask(() -> head, response -> response.statusCode() == 200 || response.statusCode() == 404);
        RegistryHost.discard(answer);
        return answer.statusCode() == 200;
    }

    /** An upload of a blob: a place that is asked for, and all of its content sent there in one request. */
    private final class Session implements RegistryHost.Asking {
        private final Digest digest;
        private final Content content;
        private URI place; // null: to be asked for

        Session(Digest digest, Content content) {
            this.digest = digest;
            this.content = content;
        }

        /** Where it cannot be mounted there is a place for it instead. */
        boolean isMountedFrom(String source) throws IOException, InterruptedException {
            begin("?mount=" + digest + "&from=" + source, true);
            return place == null;
        }

        private void begin(String query, boolean mounts) throws IOException, InterruptedException {
            RegistryHost.Request post = new RegistryHost.Request(
                    "POST",
                    host.endpoint().uri(reference.repository() + "/blobs/uploads/" + query),
                    Map.of(),
                    Content.NONE);
            HttpResponse<InputStream> begun =
                    host.ask(() -> post, response -> response.statusCode() == 202 || mounts && isTaken(response));
            RegistryHost.discard(begun);
            place = isTaken(begun) ? null : host.location(begun);
        }

        @Override
        public RegistryHost.Request next() throws IOException, InterruptedException {
            if (place == null) {
                begin("", false);
            }
            String separator = place.getRawQuery() == null ? "?" : "&";
            URI put = URI.create(place + separator + "digest=" + digest);
            place = null;
            return new RegistryHost.Request("PUT", put, Map.of("Content-Type", "application/octet-stream"), content);
        }
    }

    @Override
    public void close() {
        host.close();
    }
}
