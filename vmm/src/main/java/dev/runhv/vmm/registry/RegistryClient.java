package dev.runhv.vmm.registry;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.BlockInputStream;
import dev.runhv.vmm.content.CallerEnvironment;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.net.ConnectException;
import java.net.http.HttpResponse;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.LongConsumer;
import javax.net.ssl.SSLException;

/**
 * Pulls from the repository of one reference: OCI distribution 1.1 over HTTPS, or plain HTTP where the registry is this
 * machine. Of several endpoints the first that can is asked, and the next where it fails. For any number of threads.
 */
public final class RegistryClient implements AutoCloseable {
    /**
     * A property of the JVM that HttpClient reads at its first use: unless it is empty, no password goes to a proxy along with a
     * CONNECT (the JDK's net.properties).
     */
    public static final String DISABLED_FOR_TUNNELS = "jdk.http.auth.tunneling.disabledSchemes";

    private static final int MANIFEST_BYTES = 4 << 20;
    /** Of a listing, which together have no more bytes than a manifest: a registry may link the last one to the first. */
    static final int PAGES = 100;

    private static final String ACCEPT = "application/vnd.oci.image.index.v1+json,"
            + "application/vnd.oci.image.manifest.v1+json,"
            + "application/vnd.docker.distribution.manifest.list.v2+json,"
            + "application/vnd.docker.distribution.manifest.v2+json,*/*";

    private final Reference reference;
    private final Patience patience;
    private final List<RegistryHost> hosts;

    /** As the caller's environment and the files that it names have it. */
    public RegistryClient(Reference reference) {
        this(reference, Patience.USUAL, CallerEnvironment.get());
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
                    List.of("repository:" + reference.repository() + ":pull"),
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
        check(registry, credentials, CallerEnvironment.get());
    }

    static void check(String registry, Credentials credentials, Map<String, String> environment)
            throws InterruptedException {
        String operation = "log in to " + registry;
        Endpoint endpoint = new HostFiles(environment).endpoints(registry).getLast();
        Proxies proxies = new Proxies(environment);
        try (RegistryHost host = new RegistryHost(
                endpoint, operation, List.of(), () -> Optional.of(credentials), proxies, Patience.USUAL)) {
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
        return manifest(reference.repository() + "/manifests/" + reference.tagOrDigest(), needed, this::found);
    }

    private interface Reading<T> {
        /** @param host that has answered */
        T read(RegistryHost host, HttpResponse<InputStream> response) throws IOException, InterruptedException;
    }

    private <T> T manifest(String path, Endpoint.Capability needed, Reading<T> reading)
            throws IOException, InterruptedException {
        Turns turns = new Turns(needed);
        while (true) {
            try {
                RegistryHost host = turns.host();
                return reading.read(host, host.get(path, ACCEPT, 0));
            } catch (RunhvException e) {
                turns.next(e);
            } catch (ConnectException | SSLException e) {
                turns.next(e);
            } catch (IOException e) {
                turns.again(e);
            }
        }
    }

    /**
     * Indexes of the manifests that refer to one (OCI distribution 1.1, "Listing Referrers"), the pages of a listing, or what
     * the tag means that stands for it in registries without that.
     *
     * @return empty where there is none
     */
    public List<byte[]> referrers(Digest manifest) throws IOException, InterruptedException {
        String algorithm = manifest.algorithm().name().toLowerCase(Locale.ROOT);
        for (String path : List.of("/referrers/" + manifest, "/manifests/" + algorithm + "-" + manifest.hex())) {
            try {
                return manifest(reference.repository() + path, Endpoint.Capability.RESOLVE, this::pages);
            } catch (RunhvException e) {
                if (e.code() != ErrorCode.NOT_FOUND) {
                    throw e;
                }
            }
        }
        return List.of();
    }

    private List<byte[]> pages(RegistryHost host, HttpResponse<InputStream> first)
            throws IOException, InterruptedException {
        List<byte[]> pages = new ArrayList<>();
        int left = MANIFEST_BYTES;
        Optional<HttpResponse<InputStream>> page = Optional.of(first);
        while (page.isPresent()) {
            if (pages.size() == PAGES) {
                page.get().body().close();
                throw new CorruptInputException("What refers to the image fills more than %d pages".formatted(PAGES));
            }
            byte[] text = RegistryHost.bounded(page.get(), left, "list of what refers to the image");
            left -= text.length;
            pages.add(text);
            page = host.next(page.get(), ACCEPT);
        }
        return pages;
    }

    private Found found(RegistryHost host, HttpResponse<InputStream> response) throws IOException {
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
        Turns turns = new Turns(Endpoint.Capability.PULL);
        while (true) {
            try {
                store.fetch(digest, size, offset -> new Content(turns, path, offset, size), progress);
                return;
            } catch (CorruptInputException e) {
                turns.next(e);
            }
        }
    }

    /**
     * The content of a blob while it comes into a store that does not have it: {@link BlobStore} says what reading it does.
     * Where it proves not to be what the digest says, {@link #fetch} may find it elsewhere.
     *
     * @return empty where the store has it
     */
    public Optional<InputStream> open(BlobStore store, Digest digest, long size, LongConsumer progress)
            throws IOException, InterruptedException {
        String path = reference.repository() + "/blobs/" + digest;
        Turns turns = new Turns(Endpoint.Capability.PULL);
        return store.open(digest, size, offset -> new Content(turns, path, offset, size), progress);
    }

    /**
     * A small blob whole.
     *
     * @param size in bytes
     * @throws RunhvException when the registry does not give it, also after several attempts
     * @throws CorruptInputException when it is not what the digest says
     */
    public byte[] blob(Digest digest, int size) throws IOException, InterruptedException {
        String path = reference.repository() + "/blobs/" + digest;
        Turns turns = new Turns(Endpoint.Capability.PULL);
        while (true) {
            byte[] bytes;
            try (Content content = new Content(turns, path, 0, size)) {
                bytes = content.readAllBytes();
            }
            MessageDigest running = digest.algorithm().newMessageDigest();
            running.update(bytes);
            Digest actual = Digest.of(digest.algorithm(), running);
            if (actual.equals(digest)) {
                return bytes;
            }
            turns.next(new CorruptInputException(
                    "The registry sent %s for %s: it does not match its digest".formatted(actual, digest)));
        }
    }

    /** The body of a path from a byte on, asked for again where it breaks off. */
    private final class Content extends BlockInputStream {
        private final Turns turns;
        private final String path;
        private final long size;
        private long offset;
        /** Bytes of the body before the offset: not every registry begins where it is asked to. */
        private long again;

        private InputStream body; // null where it has to be asked for

        private Content(Turns turns, String path, long offset, long size) {
            this.turns = turns;
            this.path = path;
            this.offset = offset;
            this.size = size;
        }

        @Override
        public int read(byte[] buffer, int at, int length) throws IOException {
            while (offset < size) {
                try {
                    if (body == null) {
                        open();
                    }
                    long wanted = again > 0 ? again : size - offset;
                    int read = body.read(buffer, at, (int) Math.min(length, wanted));
                    if (read < 0) {
                        throw new IOException("The registry ended a blob %d bytes too early".formatted(size - offset));
                    }
                    if (again == 0) {
                        offset += read;
                        return read;
                    }
                    again -= read;
                } catch (RunhvException e) {
                    turns.next(e);
                } catch (IOException e) {
                    close();
                    body = null;
                    afterPause(e);
                }
            }
            return -1;
        }

        private void open() throws IOException {
            turns.reached(offset);
            try {
                HttpResponse<InputStream> response = turns.host().get(path, ACCEPT, offset);
                body = response.body();
                again = response.statusCode() == 206 ? 0 : offset;
            } catch (InterruptedException e) {
                throw interrupted(e);
            }
        }

        private void afterPause(IOException failure) throws IOException {
            try {
                turns.again(failure);
            } catch (InterruptedException e) {
                throw interrupted(e);
            }
        }

        private static IOException interrupted(InterruptedException e) {
            InterruptedIOException interrupted = new InterruptedIOException();
            interrupted.initCause(e);
            return interrupted;
        }

        @Override
        public void close() throws IOException {
            if (body != null) {
                body.close();
            }
        }
    }

    /** Whose turn it is to be asked: a host as often as patience has it, then the next one, whatever the first said. */
    private final class Turns {
        private final List<RegistryHost> able;
        private final StringBuilder said = new StringBuilder();
        private int current;
        private Patience.Attempts attempts = patience.new Attempts();

        private Turns(Endpoint.Capability needed) {
            able = hosts.stream()
                    .filter(host -> host.endpoint().capabilities().contains(needed))
                    .toList();
            if (able.isEmpty()) {
                throw Failures.unsupported("pull image " + reference, "No host of it may be asked: see its hosts.toml");
            }
        }

        RegistryHost host() {
            return able.get(current);
        }

        /** @param offset of the body that is asked for now */
        void reached(long offset) {
            attempts.reached(offset);
        }

        /** Waits for the next attempt. */
        void again(IOException failure) throws IOException, InterruptedException {
            try {
                attempts.again(failure);
            } catch (IOException last) {
                next(last);
            }
        }

        /** @throws IOException the failure, where there is nobody else to ask */
        void next(IOException failure) throws IOException, InterruptedException {
            Failures.throwIfInterrupted(failure);
            if (!hasNext(failure.getMessage())) {
                throw failure;
            }
        }

        /** @throws RunhvException the failure and what was said before, where there is nobody else to ask */
        void next(RunhvException failure) {
            String before = said.toString();
            if (!hasNext(failure.detail())) {
                throw before.isEmpty()
                        ? failure
                        : RunhvException.of(
                                failure.code(), failure.operation(), failure.detail() + before, null, failure);
            }
        }

        private boolean hasNext(String why) {
            said.append("; ").append(why);
            attempts = patience.new Attempts();
            return ++current < able.size();
        }
    }

    @Override
    public void close() {
        hosts.forEach(RegistryHost::close);
    }
}
