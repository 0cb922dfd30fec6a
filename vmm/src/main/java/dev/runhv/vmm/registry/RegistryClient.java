package dev.runhv.vmm.registry;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import java.io.IOException;
import java.io.InputStream;
import java.net.ConnectException;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.LongConsumer;
import javax.net.ssl.SSLException;

/**
 * Pulls from the repository of one reference: OCI distribution 1.1 over HTTPS, or plain HTTP where the registry is this
 * machine. Of several endpoints the first that can is asked, and the next where it fails. For any number of threads.
 */
public final class RegistryClient implements AutoCloseable {
    private static final int MANIFEST_BYTES = 4 << 20;
    private static final String ACCEPT = "application/vnd.oci.image.index.v1+json,"
            + "application/vnd.oci.image.manifest.v1+json,"
            + "application/vnd.docker.distribution.manifest.list.v2+json,"
            + "application/vnd.docker.distribution.manifest.v2+json,*/*";

    private final Reference reference;
    private final Patience patience;
    private final List<RegistryHost> hosts;

    /** As the environment of this process and the files that it names have it. */
    public RegistryClient(Reference reference) {
        this(reference, Patience.USUAL, System.getenv());
    }

    /** @param environment names the files of credentials and hosts, and the proxies */
    RegistryClient(Reference reference, Patience patience, Map<String, String> environment) {
        CredentialFiles credentials = new CredentialFiles(environment);
        Proxies proxies = new Proxies(environment);
        this.reference = reference;
        this.patience = patience;
        List<RegistryHost> all = new ArrayList<>();
        for (Endpoint endpoint : new HostFiles(environment).endpoints(reference.registry())) {
            all.add(new RegistryHost(
                    endpoint,
                    "pull image " + reference,
                    "repository:" + reference.repository() + ":pull",
                    () -> credentials.find(endpoint.name(), reference.repository()),
                    proxies,
                    patience));
        }
        this.hosts = List.copyOf(all);
    }

    /**
     * Asks a registry whether it admits somebody.
     *
     * @throws RunhvException when it does not, or cannot be asked
     */
    public static void check(String registry, Credentials credentials) throws InterruptedException {
        check(registry, credentials, System.getenv());
    }

    static void check(String registry, Credentials credentials, Map<String, String> environment)
            throws InterruptedException {
        String operation = "log in to " + registry;
        Endpoint endpoint = new HostFiles(environment).endpoints(registry).getLast();
        Proxies proxies = new Proxies(environment);
        try (RegistryHost host =
                new RegistryHost(endpoint, operation, "", () -> Optional.of(credentials), proxies, Patience.USUAL)) {
            host.get("", "*/*", 0).body().close();
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of(operation, e);
        }
    }

    /** A manifest or an index as the registry has it. */
    public record Found(String mediaType, byte[] text, Digest digest) {}

    /** @throws RunhvException when there is none, or the registry does not give it */
    public Found manifest() throws IOException, InterruptedException {
        Endpoint.Capability needed =
                reference.digest().isPresent() ? Endpoint.Capability.PULL : Endpoint.Capability.RESOLVE;
        String path = reference.repository() + "/manifests/" + reference.tagOrDigest();
        return fromAny(needed, host -> {
            Patience.Attempts attempts = patience.new Attempts();
            while (true) {
                try {
                    return found(host.get(path, ACCEPT, 0));
                } catch (ConnectException | SSLException e) {
                    throw e;
                } catch (IOException e) {
                    attempts.again(e);
                }
            }
        });
    }

    private Found found(HttpResponse<InputStream> response) throws IOException {
        byte[] text = RegistryHost.bounded(response, MANIFEST_BYTES, "manifest");
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
     * @param progress is told how many bytes of it there are, as they come
     * @throws RunhvException when the registry does not give it, also after several attempts
     * @throws CorruptInputException when it is not what the digest says
     */
    public void fetch(BlobStore store, boolean manifest, Digest digest, long size, LongConsumer progress)
            throws IOException, InterruptedException {
        String path = reference.repository() + (manifest ? "/manifests/" : "/blobs/") + digest;
        fromAny(Endpoint.Capability.PULL, host -> {
            Patience.Attempts attempts = patience.new Attempts();
            while (true) {
                try {
                    store.fetch(
                            digest,
                            size,
                            offset -> {
                                attempts.reached(offset);
                                HttpResponse<InputStream> response = host.get(path, ACCEPT, offset);
                                return new BlobStore.Body(response.body(), response.statusCode() == 206 ? offset : 0);
                            },
                            progress);
                    return digest;
                } catch (IOException e) {
                    attempts.again(e);
                }
            }
        });
    }

    private interface Request<T> {
        T from(RegistryHost host) throws IOException, InterruptedException;
    }

    private <T> T fromAny(Endpoint.Capability needed, Request<T> request) throws IOException, InterruptedException {
        List<RegistryHost> able = hosts.stream()
                .filter(host -> host.endpoint().capabilities().contains(needed))
                .toList();
        if (able.isEmpty()) {
            throw Failures.unsupported("pull image " + reference, "No host of it may be asked: see its hosts.toml");
        }
        StringBuilder mirrors = new StringBuilder();
        for (RegistryHost mirror : able.subList(0, able.size() - 1)) {
            // Whatever one says, the next may have it.
            try {
                return request.from(mirror);
            } catch (RunhvException e) {
                mirrors.append("; ").append(e.detail());
            } catch (IOException e) {
                Failures.throwIfInterrupted(e);
                mirrors.append("; ").append(e.getMessage());
            }
        }
        try {
            return request.from(able.getLast());
        } catch (RunhvException e) {
            throw mirrors.isEmpty() ? e : RunhvException.of(e.code(), e.operation(), e.detail() + mirrors, null, e);
        }
    }

    @Override
    public void close() {
        hosts.forEach(RegistryHost::close);
    }
}
