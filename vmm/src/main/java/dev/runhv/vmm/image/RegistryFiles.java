package dev.runhv.vmm.image;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.registry.BlobStore;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.registry.RegistryClient;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/**
 * An image of a registry as a layout whose blobs come when they are needed. What a name meant is kept as the index of that
 * layout, {@code names/<sha256 of the reference>.json}, once everything else is there.
 */
final class RegistryFiles implements ImageFiles {
    private final BlobStore store;
    private final Directory stored;
    private final RegistryClient client;
    private final Path name;
    private byte[] index; // null until the name has been looked up

    RegistryFiles(Reference reference, Path root) {
        this.store = new BlobStore(root);
        this.stored = new Directory(root);
        this.client = new RegistryClient(reference);
        this.name = root.resolve("names")
                .resolve(Digest.sha256(reference.toString().getBytes(StandardCharsets.UTF_8))
                                .hex() + ".json");
    }

    private byte[] index() throws IOException {
        if (index == null) {
            index = Files.exists(name) ? Files.readAllBytes(name) : lookedUp();
        }
        return index;
    }

    private byte[] lookedUp() throws IOException {
        RegistryClient.Found found = interruptible(client::manifest);
        if (MediaType.of(found.mediaType()) == MediaType.UNKNOWN) {
            throw new CorruptInputException(
                    "The registry sent no manifest, but something of the type \"" + found.mediaType() + "\"");
        }
        // The media type is one of ours, so none of this needs quoting.
        return "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%d}]}"
                .formatted(found.mediaType(), found.digest(), found.text().length)
                .getBytes(StandardCharsets.UTF_8);
    }

    /** From now on the name means this without a question to the registry. */
    void keepName() throws IOException {
        if (!Files.exists(name)) {
            Files.createDirectories(name.getParent());
            Path temporary = Files.createTempFile(name.getParent(), ".", ".tmp");
            try {
                Files.write(temporary, index());
                Files.move(temporary, name, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            } finally {
                Files.deleteIfExists(temporary);
            }
        }
    }

    @Override
    public void need(Descriptor descriptor) throws IOException {
        boolean manifest = descriptor.type() == MediaType.MANIFEST || descriptor.type() == MediaType.INDEX;
        interruptible(() -> {
            client.fetch(store, manifest, descriptor.digest(), descriptor.size());
            return null;
        });
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
