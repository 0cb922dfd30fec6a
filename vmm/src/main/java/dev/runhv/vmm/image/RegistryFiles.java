package dev.runhv.vmm.image;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.registry.BlobStore;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.registry.RegistryClient;
import dev.runhv.vmm.trust.SignaturePolicy;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.LongConsumer;

/**
 * An image of a registry as a layout whose blobs come when they are needed. What a name meant is kept by {@link NamedImages}
 * once everything else is there.
 */
final class RegistryFiles implements ImageFiles {
    private final Reference reference;
    private final PullPolicy policy;
    private final PullProgress progress;
    private final BlobStore store;
    private final Directory stored;
    private final RegistryClient client;
    private final NamedImages names;
    private Descriptor target; // null until the name has been looked up
    private boolean asked; // whether the registry has said what it means, just now

    /** @param store that has the blobs and the names */
    RegistryFiles(Reference reference, Path store, PullPolicy policy, PullProgress progress) {
        Path root = store.resolve("registry");
        this.reference = reference;
        this.policy = policy;
        this.progress = progress;
        this.store = new BlobStore(root);
        this.stored = new Directory(root);
        this.client = new RegistryClient(reference);
        this.names = new NamedImages(store);
    }

    private Descriptor target() throws IOException {
        if (target == null) {
            Optional<Descriptor> known = policy == PullPolicy.ALWAYS ? Optional.empty() : names.find(reference);
            target = known.isPresent() ? known.get() : lookedUp();
        }
        return target;
    }

    /** The manifest, or the index of manifests, that the name means. */
    Digest digest() throws IOException {
        return target().digest();
    }

    private void requireMayAsk() {
        if (policy == PullPolicy.NEVER) {
            throw Failures.notFound(
                    "find image " + reference,
                    "The store does not have it, and --pull never lets no registry be asked");
        }
    }

    private Descriptor lookedUp() throws IOException {
        requireMayAsk();
        RegistryClient.Found found = interruptible(client::manifest);
        asked = true;
        if (MediaType.of(found.mediaType()) == MediaType.UNKNOWN) {
            throw new CorruptInputException(
                    "The registry sent no manifest, but something of the type \"" + found.mediaType() + "\"");
        }
        // Also where nothing is added: another pull, which was killed, may have left what this one has no need of.
        store.sweep();
        // It is here: a registry that counts manifests need not give it by its digest as well.
        if (!store.has(found.digest())) {
            store.addToCache(found.digest().algorithm(), new ByteArrayInputStream(found.text()));
        }
        return new Descriptor(found.mediaType(), found.digest(), found.text().length, Platform.UNNAMED, Map.of());
    }

    /** From now on the name means this without a question to the registry. */
    @Override
    public void complete() throws IOException {
        names.put(reference, target());
    }

    /** What the store has under its name was let in when it came; an index there may list what it does not have. */
    @Override
    public void chosen(Descriptor manifest) throws IOException {
        if (asked || !isThere(manifest)) {
            interruptible(() -> {
                SignaturePolicy.current().require(reference, manifest.digest());
                return null;
            });
        }
    }

    @Override
    public void need(Descriptor descriptor) throws IOException {
        fetch(descriptor, PullProgress.NONE);
    }

    @Override
    public void expect(List<Descriptor> layers) throws IOException {
        long missing = 0;
        for (Descriptor layer : new LinkedHashSet<>(layers)) {
            if (!isThere(layer)) {
                missing += Math.min(layer.size(), Long.MAX_VALUE - missing); // whatever they claim
            }
        }
        if (missing > 0) {
            store.requireRoom(missing);
        }
    }

    @Override
    public boolean areLayersToCome() {
        return true;
    }

    @Override
    public Optional<InputStream> incoming(Descriptor layer) throws IOException {
        if (isThere(layer)) {
            progress.fetched(layer.digest(), layer.size(), layer.size());
            return Optional.empty();
        }
        requireMayAsk();
        return interruptible(() -> client.open(store, layer.digest(), layer.size(), told(layer, progress)));
    }

    @Override
    public boolean keep(Descriptor layer) throws IOException {
        boolean missing = !isThere(layer);
        fetch(layer, progress);
        progress.ready(layer.digest(), layer.size());
        return missing;
    }

    private boolean isThere(Descriptor descriptor) throws IOException {
        return stored.size("blobs/" + descriptor.digest().toString().replace(':', '/')) >= 0;
    }

    private void fetch(Descriptor descriptor, PullProgress listener) throws IOException {
        if (!isThere(descriptor)) {
            requireMayAsk();
        }
        boolean manifest = descriptor.type() == MediaType.MANIFEST || descriptor.type() == MediaType.INDEX;
        interruptible(() -> {
            client.fetch(store, manifest, descriptor.digest(), descriptor.size(), told(descriptor, listener));
            return null;
        });
    }

    /** Indexes of what refers to a manifest in the registry, of whoever may push there. */
    List<byte[]> referrers(Digest manifest) throws IOException {
        return interruptible(() -> client.referrers(manifest));
    }

    private static LongConsumer told(Descriptor descriptor, PullProgress listener) {
        return bytes -> listener.fetched(descriptor.digest(), bytes, descriptor.size());
    }

    private byte[] index() throws IOException {
        return NamedImages.index(reference, target());
    }

    @Override
    public long size(String file) throws IOException {
        return file.equals("index.json") ? index().length : stored.size(file);
    }

    @Override
    public InputStream open(String file) throws IOException {
        return file.equals("index.json") ? new ByteArrayInputStream(index()) : stored.open(file);
    }

    @Override
    public void close() {
        client.close();
    }

    private interface Work<T> {
        T run() throws IOException, InterruptedException;
    }

    // The readers of images know files only: what interrupts them is an IOException.
    private static <T> T interruptible(Work<T> work) throws IOException {
        try {
            return work.run();
        } catch (InterruptedException e) {
            InterruptedIOException interrupted = new InterruptedIOException();
            interrupted.initCause(e);
            throw interrupted;
        }
    }
}
