package dev.runhv.vmm.image;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.Compression;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.StoreLease;
import dev.runhv.vmm.content.VerifyingInputStream;
import dev.runhv.vmm.registry.BlobStore;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.trust.SignaturePolicy;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Takes the images of an archive into the store, as they are: those of an OCI layout with their digests verified, those of
 * docker save with a manifest that is made for them. Images for other platforms are taken, too.
 */
public final class ImageLoad {
    private final String operation;
    private final ImageFiles files;
    private final BlobStore store;
    private final Optional<Reference> given;
    private final PullProgress progress;
    /** Layers of docker save by their paths: an archive may name one many times. */
    private final Map<String, BlobStore.Added> layers = new HashMap<>();

    private ImageLoad(
            String operation, ImageFiles files, BlobStore store, Optional<Reference> given, PullProgress progress) {
        this.operation = operation;
        this.files = files;
        this.store = store;
        this.given = given;
        this.progress = progress;
    }

    /** An image under one or more names. */
    record Loaded(List<Reference> names, Descriptor target) {}

    /**
     * @param archive perhaps compressed as a whole
     * @param given the name of the only image in it, in place of those that the archive says
     * @param progress is told of each layer
     * @return the names that mean these images from now on
     * @throws RunhvException where the archive is damaged, holds no image, or one without a name
     * @throws InterruptedException while it is read; nothing has a name then
     */
    public static List<Reference> load(Path archive, Path store, Optional<Reference> given, PullProgress progress)
            throws InterruptedException {
        String operation = "load " + archive;
        if (!Files.exists(archive)) {
            throw Failures.notFound(operation, "There is no such file");
        }
        try (StoreLease _ = StoreLease.take(store);
                ImageFiles files = ArchiveFiles.open(archive)) {
            boolean layout = files.size("index.json") >= 0;
            SignaturePolicy.current()
                    .require(
                            operation,
                            layout ? "oci-archive" : "docker-archive",
                            layout ? List.of(archive) : List.of());
            BlobStore blobs = new BlobStore(store.resolve("registry"));
            NamedImages named = new NamedImages(store);
            List<Reference> names = new ArrayList<>();
            for (Loaded image : new ImageLoad(operation, files, blobs, given, progress).all()) {
                for (Reference name : image.names) {
                    named.put(name, image.target);
                    names.add(name);
                }
            }
            return List.copyOf(names);
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of(operation, e);
        }
    }

    private List<Loaded> all() throws IOException {
        return files.size("index.json") >= 0 ? layout() : dockerArchive();
    }

    private List<Loaded> layout() throws IOException {
        OciReader reader = new OciReader(operation, files);
        Map<Digest, Descriptor> targets = new LinkedHashMap<>();
        Map<Digest, List<Reference>> names = new HashMap<>();
        for (Descriptor top : reader.top().manifests()) {
            targets.putIfAbsent(top.digest(), top);
            names.computeIfAbsent(top.digest(), key -> new ArrayList<>()).addAll(names(top));
        }
        List<Loaded> loaded = new ArrayList<>();
        for (Descriptor top : targets.values()) {
            loaded.add(new Loaded(
                    named(top.digest().toString(), names.get(top.digest()), targets.size()),
                    Descriptor.of(top.mediaType(), top.digest(), top.size())));
        }
        for (Descriptor top : targets.values()) {
            for (Descriptor blob : ImageBlobs.of(operation, files, top).blobs()) {
                take(reader, blob);
            }
        }
        return some(loaded);
    }

    private List<Loaded> some(List<Loaded> loaded) {
        if (loaded.isEmpty()) {
            throw Failures.corrupt(operation, "It holds no image");
        }
        return loaded;
    }

    /** @param count of the images in the archive */
    private List<Reference> named(String image, List<Reference> names, int count) {
        if (given.isPresent() && count > 1) {
            throw Failures.invalid(operation, "It holds %d images: --name is for one".formatted(count));
        }
        if (given.isEmpty() && names.isEmpty()) {
            throw Failures.invalid(
                    operation, "It says no name for the image %s: give it one by --name".formatted(image));
        }
        return given.map(List::of).orElse(List.copyOf(names));
    }

    private void take(OciReader reader, Descriptor blob) throws IOException {
        if (!store.has(blob.digest())) {
            try (InputStream in = reader.open("blob", blob)) {
                store.add(blob.digest().algorithm(), in);
            }
        }
        if (blob.type() == MediaType.LAYER) {
            progress.ready(blob.digest(), blob.size());
        }
    }

    /** The name that containerd and docker give, else that of podman; a tag alone, as of skopeo, is none. */
    private static List<Reference> names(Descriptor top) {
        String full = top.annotations().getOrDefault(OciReader.CONTAINERD_NAME, "");
        String name = full.isEmpty() ? top.refName() : full;
        return name.matches(".*[/:].*") ? List.of(Reference.parse(name)) : List.of();
    }

    private List<Loaded> dockerArchive() throws IOException {
        DockerReader reader = new DockerReader(operation, files);
        List<DockerReader.Image> images = reader.images();
        List<List<Reference>> names = new ArrayList<>();
        for (DockerReader.Image image : images) {
            List<Reference> its = image.names().stream().map(Reference::parse).toList();
            names.add(named(image.config(), its, images.size()));
        }
        List<Loaded> loaded = new ArrayList<>();
        for (int index = 0; index < images.size(); index++) {
            loaded.add(new Loaded(names.get(index), manifest(reader, images.get(index))));
        }
        return some(loaded);
    }

    private Descriptor manifest(DockerReader reader, DockerReader.Image image) throws IOException {
        byte[] text = reader.configText(image);
        ImageConfig config = reader.config(image, text);
        ImageContents.requireLayers(operation, config, image.layers().size());
        NewManifest manifest = new NewManifest(store);
        for (int index = 0; index < image.layers().size(); index++) {
            layer(manifest, image.layers().get(index), config.diffIds().get(index));
        }
        return manifest.put(text);
    }

    private void layer(NewManifest manifest, String path, Digest diffId) throws IOException {
        long size = files.size(path);
        if (size < 0) {
            throw Failures.corrupt(operation, "The layer " + path + " is missing");
        }
        try (InputStream in = new BufferedInputStream(files.open(path))) {
            Compression compression = Compression.of(in);
            BlobStore.Added added = layers.get(path);
            if (added == null) {
                // What is compressed is checked when it is run.
                InputStream checked = compression == Compression.NONE
                        ? new VerifyingInputStream(in, "layer " + path, diffId, size)
                        : in;
                added = store.add(Digest.Algorithm.SHA256, checked);
                layers.put(path, added);
                progress.ready(added.digest(), added.size());
            }
            manifest.layer(compression, added);
        }
    }
}
