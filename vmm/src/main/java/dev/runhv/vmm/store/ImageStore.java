package dev.runhv.vmm.store;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.HeldFiles;
import dev.runhv.vmm.content.StoreLease;
import dev.runhv.vmm.content.VerifyingInputStream;
import dev.runhv.vmm.image.Descriptor;
import dev.runhv.vmm.image.ImageSource;
import dev.runhv.vmm.image.NamedImages;
import dev.runhv.vmm.image.Platform;
import dev.runhv.vmm.image.PullPolicy;
import dev.runhv.vmm.image.PullProgress;
import dev.runhv.vmm.image.StoredImage;
import dev.runhv.vmm.registry.BlobStore;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.rootfs.RootfsStore;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The images of a store. A name is what keeps an image there; from it everything else is reached. What a micro-VM has open,
 * and what anybody makes under a {@link StoreLease}, stays as well.
 *
 * <p>Every method throws {@link RunhvException} with what was attempted where a file of the store cannot be used. Any number
 * of threads and processes may use one store.
 */
public final class ImageStore {
    private static final Pattern ID = Pattern.compile("(sha256:)?([0-9a-f]{1,64})");

    private static final Duration TICK = Duration.ofMillis(100);

    private final Path store;
    private final NamedImages names;
    private final BlobStore blobs;
    private final RootfsStore rootfs;

    /** @param store that need not be there */
    public ImageStore(Path store) {
        this.store = store;
        this.names = new NamedImages(store);
        this.blobs = new BlobStore(store.resolve("registry"));
        this.rootfs = new RootfsStore(store);
    }

    /**
     * @param images in the order of their names
     * @param nameless how many files of names say none: they are those of a runhv that kept only a name's digest, or damaged
     */
    public record Listing(List<Image> images, int nameless) {
        /**
         * The image that a user means by a name, by a name with the digest of what it means, by an ID, or by as much of its
         * beginning as no other ID has.
         *
         * @return that of the name, or all names of the ID; never empty
         * @throws RunhvException {@code NOT_FOUND}; {@code INVALID_ARGUMENT} where several IDs begin so
         */
        public List<Image> find(String text) {
            String operation = "find image " + text;
            List<Image> found = matching(operation, text);
            if (found.isEmpty()) {
                throw Failures.notFound(operation, "No such image; runhv images lists those that are there");
            }
            return found;
        }

        private List<Image> matching(String operation, String text) {
            List<Image> found = byName(images, text);
            return found.isEmpty() ? byId(operation, images, text) : found;
        }
    }

    /**
     * The only name of what a user means, as it is pushed by.
     *
     * @param operation for messages
     * @param text as {@link Listing#find} takes it
     * @throws RunhvException {@code NOT_FOUND}; {@code INVALID_ARGUMENT} where an ID has several
     */
    public Reference onlyName(String operation, String text) {
        List<Image> found = list().matching(operation, text);
        if (found.isEmpty()) {
            throw Failures.notFound(operation, "The store does not have it: runhv pull " + text);
        }
        if (found.size() > 1) {
            throw Failures.invalid(
                    operation,
                    "It has several names, say one of them: "
                            + found.stream()
                                    .map(image -> image.name().toString())
                                    .collect(Collectors.joining(", ")));
        }
        return found.getFirst().name();
    }

    public Listing list() {
        try {
            return listing(names.known());
        } catch (IOException e) {
            throw Failures.of("list the images in " + store, e);
        }
    }

    private Listing listing(NamedImages.Listing named) throws IOException {
        List<Image> images = new ArrayList<>();
        for (NamedImages.Named image : named.images()) {
            images.add(image(image));
        }
        return new Listing(List.copyOf(images), named.unknown().size());
    }

    private Image image(NamedImages.Named named) throws IOException {
        Optional<StoredImage> content;
        try {
            content = Optional.of(StoredImage.read(store, named.name(), named.target()));
        } catch (RunhvException | CorruptInputException e) {
            content = Optional.empty();
        }
        return new Image(named.name(), named.target(), content);
    }

    /** {@link Listing#find} in what there is now. */
    public List<Image> find(String text) {
        return list().find(text);
    }

    private static List<Image> byName(List<Image> images, String text) {
        Reference name;
        try {
            name = Reference.parse(text);
        } catch (RunhvException e) {
            return List.of();
        }
        List<Image> named = images.stream().filter(i -> i.name().equals(name)).toList();
        if (!named.isEmpty() || name.digest().isEmpty()) {
            return named;
        }
        Digest digest = name.digest().get();
        return images.stream()
                .filter(image -> image.name().registry().equals(name.registry())
                        && image.name().repository().equals(name.repository())
                        && image.target().digest().equals(digest))
                .toList();
    }

    private static List<Image> byId(String operation, List<Image> images, String text) {
        var matcher = ID.matcher(text);
        if (!matcher.matches()) {
            return List.of();
        }
        String hex = matcher.group(2);
        List<Image> found = images.stream()
                .filter(image -> image.id().hex().startsWith(hex)
                        || image.target().digest().hex().equals(hex))
                .toList();
        if (found.stream().map(Image::id).distinct().count() > 1) {
            throw Failures.invalid(operation, "The IDs of several images begin so: give more of it");
        }
        return found;
    }

    /**
     * Opens a regular file in an image, whose root file system is made where that was not done before. What is removed from
     * the store meanwhile can still be read.
     *
     * @param text as {@link Listing#find} takes it
     * @param file an absolute path
     * @throws RunhvException where there is no such image or file, or the image is damaged or not for linux/amd64
     * @throws InterruptedException while the root file system is made; what was begun is gone
     */
    public InputStream openFile(String text, String file) throws InterruptedException {
        try (StoreLease _ = StoreLease.take(store);
                ImageSource source =
                        ImageSource.pull(find(text).getFirst().name(), store, PullPolicy.NEVER, PullProgress.NONE)) {
            return rootfs.prepare(source, RootfsProgress.NONE).openFile(file);
        }
    }

    /**
     * Opens what an image names by its digest, a layer for instance: the bytes as they are stored, verified when they are
     * read to the end.
     *
     * @throws RunhvException {@code NOT_FOUND}
     */
    public InputStream openBlob(Digest digest) {
        String operation = "read blob " + digest;
        Path file = blobs.path(digest);
        try {
            long size = Files.size(file);
            return new VerifyingInputStream(Files.newInputStream(file), "blob " + digest, digest, size);
        } catch (NoSuchFileException e) {
            throw Failures.notFound(operation, "The store does not have it");
        } catch (IOException e) {
            throw Failures.of(operation, e);
        }
    }

    /**
     * That of an index's images which is for a platform.
     *
     * @throws RunhvException where the store does not have it, or it is damaged
     */
    public StoredImage read(Image image, Platform platform) {
        try {
            return StoredImage.read(store, image.name(), image.target(), platform);
        } catch (IOException e) {
            throw Failures.of("read image " + image.name(), e);
        }
    }

    /** Gives an image one more name, in place of what the name meant before. */
    public void tag(String source, Reference name) throws InterruptedException {
        try (StoreLease _ = StoreLease.take(store)) {
            names.put(name, find(source).getFirst().target());
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of("name image " + name, e);
        }
    }

    /** The bytes of an image in the store: those of its files, whoever else needs them. */
    public long size(Image image) {
        return sizes(List.of(image)).getFirst();
    }

    /** {@link #size} of each, in their order: what they share is looked at once. */
    public List<Long> sizes(List<Image> images) {
        Map<Digest, Long> ofTargets = new HashMap<>();
        Map<Path, Long> ofFiles = new HashMap<>();
        List<Long> sizes = new ArrayList<>();
        for (Image image : images) {
            try {
                Long size = ofTargets.get(image.target().digest());
                if (size == null) {
                    size = size(image, ofFiles);
                    ofTargets.put(image.target().digest(), size);
                }
                sizes.add(size);
            } catch (IOException e) {
                throw Failures.of("look at image " + image.name(), e);
            }
        }
        return sizes;
    }

    private long size(Image image, Map<Path, Long> known) throws IOException {
        long sum = 0;
        for (Path file : files(image)) {
            sum += known.computeIfAbsent(file, ImageStore::sizeOf);
        }
        return sum;
    }

    /** The bytes of a layer's content; empty where it has not been read yet. */
    public Optional<Long> layerSize(Digest diffId) {
        return Files.exists(rootfs.entries(diffId)) ? Optional.of(sizeOf(rootfs.data(diffId))) : Optional.empty();
    }

    /** 0 where there is none. */
    private static long sizeOf(Path file) {
        return file.toFile().length(); // nothing is thrown for what is not there, as much may be
    }

    /** Of those that are there, and those that may come. */
    private Set<Path> files(Image image) throws IOException {
        Set<Path> files = new LinkedHashSet<>();
        if (image.content().isPresent()) {
            StoredImage content = image.content().get();
            files.add(rootfs.tree(content.config()));
            for (Digest diffId : content.config().diffIds()) {
                files.add(rootfs.entries(diffId));
                files.add(rootfs.data(diffId));
            }
        }
        for (Descriptor blob : StoredImage.reached(store, image.target())) {
            files.add(blobs.path(blob.digest()));
        }
        return files;
    }

    /**
     * @param untagged names that are gone
     * @param deleted IDs of images that are gone, and the diff_ids of their layers
     * @param bytes that came free
     * @param left whether content stays for {@link #prune}: somebody was making something meanwhile
     */
    public record Removed(List<Reference> untagged, List<Digest> deleted, long bytes, boolean left) {}

    /**
     * Removes names, and what was there for them alone. All or none of them.
     *
     * @param texts as {@link #find} takes them
     * @param force also the names of an ID that are in several repositories, and the name of an image from which a container
     *     runs: what that has open stays
     * @throws RunhvException as {@link #find}; {@code CONFLICT} for what only {@code force} does
     */
    public Removed remove(List<String> texts, boolean force) {
        // What is being made meanwhile shares it: then names go, and content stays.
        Optional<StoreLease> alone = StoreLease.tryAlone(store);
        try (StoreLease _ = alone.orElse(null)) {
            return remove(texts, force, alone.isPresent());
        } catch (IOException e) {
            throw Failures.of("remove images", e);
        }
    }

    private Removed remove(List<String> texts, boolean force, boolean alone) throws IOException {
        Listing before = listing(names.list());
        Map<Reference, Image> going = new LinkedHashMap<>();
        for (String text : texts) {
            List<Image> found = before.find(text);
            if (!force && repositories(found) > 1) {
                throw conflict(text, "It has names in several repositories: remove these, or use -f");
            }
            found.forEach(image -> going.put(image.name(), image));
        }
        List<Image> staying = before.images().stream()
                .filter(image -> !going.containsKey(image.name()))
                .toList();
        Set<Digest> kept = staying.stream().map(Image::id).collect(Collectors.toSet());
        Map<Digest, Image> last = new LinkedHashMap<>();
        for (Image image : going.values()) {
            if (!kept.contains(image.id())) {
                last.put(image.id(), image);
            }
        }
        for (Image image : last.values()) {
            if (!force && isRunning(image)) {
                throw conflict(image.name().toString(), "A container runs from it; -f removes the name alone");
            }
        }
        for (Reference name : going.keySet()) {
            names.remove(name);
        }
        List<Reference> untagged = List.copyOf(going.keySet());
        if (!alone) {
            return new Removed(untagged, List.of(), 0, !last.isEmpty());
        }
        Set<Path> candidates = new LinkedHashSet<>();
        for (Image image : last.values()) {
            candidates.addAll(files(image));
        }
        Collected collected = collect(candidates, staying);
        Set<Digest> deleted = new LinkedHashSet<>(last.keySet());
        for (Image image : last.values()) {
            image.content().stream()
                    .flatMap(content -> content.config().diffIds().stream())
                    .filter(diffId -> collected.files.contains(rootfs.entries(diffId)))
                    .forEach(deleted::add);
        }
        return new Removed(untagged, List.copyOf(deleted), collected.bytes, false);
    }

    private static long repositories(List<Image> images) {
        return images.stream()
                .map(image -> image.name().registry() + "/" + image.name().repository())
                .distinct()
                .count();
    }

    private static RunhvException conflict(String image, String detail) {
        return RunhvException.of(ErrorCode.CONFLICT, "remove image " + image, detail, null, null);
    }

    /**
     * @param untagged names that are gone, where all were asked for
     * @param files that are gone
     * @param bytes that came free
     */
    public record Pruned(List<Reference> untagged, int files, long bytes) {}

    /**
     * Removes what no name and no container needs, once nobody makes anything.
     *
     * @param all also the names of images from which no container runs
     */
    public Pruned prune(boolean all) throws InterruptedException {
        try (StoreLease _ = StoreLease.takeAlone(store)) {
            NamedImages.Listing named = names.list();
            List<Image> staying = new ArrayList<>();
            List<Reference> untagged = new ArrayList<>();
            for (Image image : listing(named).images()) {
                if (!all || isRunning(image)) {
                    staying.add(image);
                } else {
                    names.remove(image.name());
                    untagged.add(image.name());
                }
            }
            Set<Path> candidates = new LinkedHashSet<>(named.unknown());
            for (Path folder : folders()) {
                candidates.addAll(filesBelow(folder));
            }
            Collected collected = collect(candidates, staying);
            return new Pruned(List.copyOf(untagged), collected.files.size(), collected.bytes);
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of("prune the store " + store, e);
        }
    }

    /** What brings something into the store. */
    public interface Bringing<T> {
        T bring() throws InterruptedException;
    }

    /**
     * Work for which there may be no room, on the disk or by the store's quota: then what it has brought goes again, but for
     * what has a name. Where others make something at the same time it stays for {@link #prune}, as it may be theirs.
     *
     * @param bringing under a lease of its own
     * @throws RunhvException what it throws
     */
    public <T> T bringOrLeaveNothing(Bringing<T> bringing) throws InterruptedException {
        // Files have the times of a clock that may be behind this one by a tick.
        Instant begun = Instant.now().minus(TICK);
        try {
            return bringing.bring();
        } catch (RunhvException e) {
            if (e.code() == ErrorCode.NO_SPACE) {
                removeSince(begun, e);
            }
            throw e;
        }
    }

    private void removeSince(Instant begun, RunhvException reason) {
        Optional<StoreLease> alone = StoreLease.tryAlone(store);
        try (StoreLease _ = alone.orElse(null)) {
            if (alone.isPresent()) {
                Set<Path> candidates = new LinkedHashSet<>();
                for (Path folder : folders()) {
                    for (Path file : filesBelow(folder)) {
                        if (!Files.getLastModifiedTime(file).toInstant().isBefore(begun)) {
                            candidates.add(file);
                        }
                    }
                }
                collect(candidates, listing(names.list()).images());
            }
        } catch (IOException | RunhvException e) {
            reason.addSuppressed(e); // prune tells of it
        }
    }

    private List<Path> folders() {
        List<Path> folders = new ArrayList<>(rootfs.folders());
        folders.add(blobs.blobs());
        folders.add(blobs.partial());
        return folders;
    }

    static List<Path> filesBelow(Path folder) throws IOException {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(Files::isRegularFile).toList();
        }
    }

    private record Collected(Set<Path> files, long bytes) {}

    /**
     * Deletes those of the files that nobody needs. REQUIRES: a lease alone.
     *
     * @param staying all that have a name
     */
    private Collected collect(Collection<Path> candidates, List<Image> staying) throws IOException {
        Set<Path> needed = new HashSet<>();
        for (Image image : staying) {
            needed.addAll(files(image));
        }
        Set<Path> deleted = new LinkedHashSet<>();
        long bytes = 0;
        // Data last: while its entries are there, a layer is taken for whole.
        for (boolean data : new boolean[] {false, true}) {
            for (Path file : candidates) {
                boolean isData = file.toString().endsWith(".data");
                if (isData == data && !needed.contains(file) && Files.exists(file) && !isOpen(file)) {
                    bytes += Files.size(file);
                    HeldFiles.deleteIfExists(file);
                    deleted.add(file);
                }
            }
        }
        return new Collected(deleted, bytes);
    }

    /**
     * What one kind of file takes.
     *
     * @param needed how many of the files a name or a container needs
     * @param reclaimableBytes of the others
     */
    public record Usage(int files, int needed, long bytes, long reclaimableBytes) {}

    /** By kinds of files, in words. */
    public Map<String, Usage> usage() {
        try {
            Set<Path> named = new HashSet<>();
            for (Image image : list().images()) {
                named.addAll(files(image));
            }
            Map<String, Usage> usage = new LinkedHashMap<>();
            usage.put("Blobs", usage(blobs.blobs(), named));
            usage.put("Partial blobs", usage(blobs.partial(), named));
            usage.put("Layers", usage(rootfs.layersFolder(), named));
            usage.put("Root file systems", usage(rootfs.treesFolder(), named));
            return usage;
        } catch (IOException e) {
            throw Failures.of("look at the store " + store, e);
        }
    }

    private static Usage usage(Path folder, Set<Path> named) throws IOException {
        int files = 0;
        int needed = 0;
        long bytes = 0;
        long reclaimable = 0;
        for (Path file : filesBelow(folder)) {
            long size = sizeOf(file);
            boolean isNeeded = named.contains(file) || isOpen(file);
            files++;
            needed += isNeeded ? 1 : 0;
            bytes += size;
            reclaimable += isNeeded ? 0 : size;
        }
        return new Usage(files, needed, bytes, reclaimable);
    }

    /** Whether a container runs from the image, or is being made of it. */
    public boolean isRunning(Image image) {
        try {
            return image.content().isPresent()
                    && isOpen(rootfs.tree(image.content().get().config()));
        } catch (IOException e) {
            throw Failures.of("look at image " + image.name(), e);
        }
    }

    /** A micro-VM has a lock on each file of its root, shared with others. */
    private static boolean isOpen(Path file) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE);
                FileLock lock = channel.tryLock()) {
            return lock == null;
        } catch (NoSuchFileException e) {
            return false;
        }
    }
}
