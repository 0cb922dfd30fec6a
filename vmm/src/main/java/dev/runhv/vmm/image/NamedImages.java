package dev.runhv.vmm.image;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.HeldFiles;
import dev.runhv.vmm.content.TemporaryFile;
import dev.runhv.vmm.registry.Reference;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What the names of images mean in the store: {@code registry/names/<sha256 of the name>.json}, each the index of a layout
 * that has this one image and says its name. A name is replaced as a whole, or not. Any number of threads and processes may
 * use one store; who puts a name holds a {@link dev.runhv.vmm.content.StoreLease} since before it looked for the content.
 */
public final class NamedImages {
    private static final String NAME = "io.containerd.image.name";

    /** How long ago a folder must have changed for its next change to have another time, whatever its file system counts in. */
    private static final Duration SETTLED = Duration.ofSeconds(2);

    /** Of the store that was looked at last. */
    private static volatile Known known = new Known(Path.of(""), FileTime.fromMillis(0), Listing.EMPTY);

    private record Known(Path folder, FileTime changed, Listing listing) {}

    private final Path folder;

    /** @param store made when it is needed */
    public NamedImages(Path store) {
        this.folder = store.resolve("registry").resolve("names");
    }

    /** @param target a manifest, or an index of manifests */
    public record Named(Reference name, Descriptor target) {}

    /**
     * @param images in the order of their names
     * @param unknown files that say no name: damaged, or those of a runhv that kept the name's digest only. {@link #find}
     *     takes the latter over
     */
    public record Listing(List<Named> images, List<Path> unknown) {
        private static final Listing EMPTY = new Listing(List.of(), List.of());
    }

    public Path folder() {
        return folder;
    }

    /**
     * What a name means.
     *
     * @throws CorruptInputException where its file is damaged
     */
    public Optional<Descriptor> find(Reference name) throws IOException {
        Optional<Descriptor> target = target(file(name));
        if (target.isPresent() && !target.get().annotations().containsKey(NAME)) {
            put(name, target.get());
        }
        return target;
    }

    /**
     * From now on the name means this.
     *
     * @param target of which all that it needs is in the store
     */
    public void put(Reference name, Descriptor target) throws IOException {
        Path file = file(name);
        byte[] index = index(name, target);
        if (Files.exists(file) && Arrays.equals(Files.readAllBytes(file), index)) {
            return;
        }
        Files.createDirectories(folder);
        TemporaryFile.sweep(folder);
        try (TemporaryFile temporary =
                TemporaryFile.create(folder, file.getFileName().toString())) {
            temporary.write(ByteBuffer.wrap(index));
            temporary.moveTo(file);
        }
    }

    /** @return whether the name was there */
    public boolean remove(Reference name) throws IOException {
        return HeldFiles.deleteIfExists(file(name));
    }

    /**
     * As {@link #list}, without a look at each name where none came or went since the last time, and believing each file what
     * it says: a hash of each name would be a third of a first listing. A host's file system that is another host's may say
     * late what changed: who removes what has no name must list them.
     */
    public Listing known() throws IOException {
        FileTime changed;
        try {
            changed = Files.getLastModifiedTime(folder);
        } catch (NoSuchFileException e) {
            return Listing.EMPTY;
        }
        Known before = known;
        if (before.folder.equals(folder) && before.changed.equals(changed)) {
            return before.listing;
        }
        boolean settled = changed.toInstant().plus(SETTLED).isBefore(Instant.now());
        Listing listing = read(false);
        if (settled) {
            known = new Known(folder, changed, listing);
        }
        return listing;
    }

    public Listing list() throws IOException {
        return read(true);
    }

    /** @param checked whether a file that is not its name's is unknown */
    private Listing read(boolean checked) throws IOException {
        SortedMap<String, Named> images = new TreeMap<>();
        List<Path> unknown = new ArrayList<>();
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, NamedImages::isName)) {
            for (Path file : files) {
                Optional<Named> image = named(file).filter(found -> !checked || file.equals(file(found.name())));
                if (image.isPresent()) {
                    Named other = images.put(image.get().name().toString(), image.get());
                    if (other != null) {
                        return read(true); // two files say one name
                    }
                } else if (Files.exists(file)) {
                    unknown.add(file);
                }
            }
        } catch (NoSuchFileException e) {
            return Listing.EMPTY;
        }
        return new Listing(List.copyOf(images.values()), List.copyOf(unknown));
    }

    /** By hand: a start would wait for the JVM's globs. */
    private static boolean isName(Path file) {
        String name = file.getFileName().toString();
        return name.endsWith(".json") && Character.digit(name.charAt(0), 16) >= 0;
    }

    private Optional<Named> named(Path file) throws IOException {
        try {
            Optional<Descriptor> target = target(file);
            String text = target.map(found -> found.annotations().get(NAME)).orElse(null);
            if (text == null) {
                return Optional.empty();
            }
            return Optional.of(new Named(Reference.parse(text), target.get()));
        } catch (CorruptInputException | RunhvException e) {
            return Optional.empty();
        }
    }

    private static Optional<Descriptor> target(Path file) throws IOException {
        byte[] text;
        try {
            text = Files.readAllBytes(file);
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
        List<Descriptor> manifests = ImageIndex.parse(text).manifests();
        if (manifests.size() != 1) {
            throw new CorruptInputException("%s lists %d manifests, not one".formatted(file, manifests.size()));
        }
        return Optional.of(manifests.getFirst());
    }

    /** The {@code index.json} of a layout that has this one image. */
    static byte[] index(Reference name, Descriptor target) throws IOException {
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        try (JsonGenerator json = new JsonFactory().createGenerator(text)) {
            json.writeStartObject();
            json.writeNumberField("schemaVersion", 2);
            json.writeArrayFieldStart("manifests");
            json.writeStartObject();
            json.writeStringField("mediaType", target.mediaType());
            json.writeStringField("digest", target.digest().toString());
            json.writeNumberField("size", target.size());
            json.writeObjectFieldStart("annotations");
            json.writeStringField(NAME, name.toString());
            json.writeEndObject();
            json.writeEndObject();
            json.writeEndArray();
            json.writeEndObject();
        }
        return text.toByteArray();
    }

    private Path file(Reference name) {
        return folder.resolve(
                Digest.sha256(name.toString().getBytes(StandardCharsets.UTF_8)).hex() + ".json");
    }
}
