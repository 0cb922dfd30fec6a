package dev.runhv.vmm.image;

import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What a manifest or an index reaches: each blob once, behind all that it names, so the top is the last.
 *
 * @param whole false where an index names images that are not there, such as those for other platforms
 */
record ImageBlobs(List<Descriptor> blobs, boolean whole) {
    /**
     * @param files that the blobs are among, with their digests for names
     * @throws dev.runhv.api.RunhvException where a part of it is missing or no index has any image, or it is damaged
     */
    static ImageBlobs of(String operation, ImageFiles files, Descriptor top) throws IOException {
        Walk walk = new Walk(operation, files);
        if (!walk.reach(top, 1)) {
            throw Failures.corrupt(operation, walk.missing);
        }
        return new ImageBlobs(List.copyOf(walk.blobs), walk.missing.isEmpty());
    }

    private static final class Walk {
        private final String operation;
        private final ImageFiles files;
        private final OciReader reader;
        private final List<Descriptor> blobs = new ArrayList<>();
        /** Whether it is there: what is named many times is looked at once. */
        private final Map<Digest, Boolean> known = new HashMap<>();

        /** What is not there, in words; empty: all is. */
        private String missing = "";

        Walk(String operation, ImageFiles files) {
            this.operation = operation;
            this.files = files;
            this.reader = new OciReader(operation, files);
        }

        /** Whether all of it is there; of an index, at least one image. */
        boolean reach(Descriptor top, int depth) throws IOException {
            Boolean before = known.get(top.digest());
            if (before != null) {
                return before;
            }
            boolean there = isThere(top)
                    && switch (top.type()) {
                        case INDEX -> reachIndex(top, depth);
                        case MANIFEST -> reachManifest(top);
                        case CONFIG, LAYER, FOREIGN_LAYER, SCHEMA1, UNKNOWN -> true;
                    };
            return keep(top, there);
        }

        private boolean isThere(Descriptor blob) throws IOException {
            if (files.size(OciReader.path(blob.digest())) < 0) {
                missing = "The blob " + blob.digest() + " is missing";
                return false;
            }
            reader.requireSize("blob", blob);
            return true;
        }

        private boolean keep(Descriptor blob, boolean there) {
            if (known.put(blob.digest(), there) == null && there) {
                blobs.add(blob);
            }
            return there;
        }

        private boolean reachIndex(Descriptor blob, int depth) throws IOException {
            if (depth > ImageLimits.INDEX_DEPTH) {
                throw Failures.corrupt(
                        operation, "Its indexes are nested more than %d deep".formatted(ImageLimits.INDEX_DEPTH));
            }
            ImageIndex index = reader.parsed(
                    "index " + blob.digest(),
                    () -> ImageIndex.parse(reader.blob("index", blob, ImageLimits.MANIFEST_BYTES)));
            boolean any = false;
            for (Descriptor manifest : index.manifests()) {
                any |= reach(manifest, depth + 1);
            }
            if (index.manifests().isEmpty()) {
                missing = "The index " + blob.digest() + " lists no image";
            }
            return any;
        }

        private boolean reachManifest(Descriptor blob) throws IOException {
            Manifest manifest = reader.parsed(
                    "manifest " + blob.digest(),
                    () -> Manifest.parse(reader.blob("manifest", blob, ImageLimits.MANIFEST_BYTES)));
            // Whatever they say that they are, they lead no further.
            boolean all = keep(manifest.config(), isThere(manifest.config()));
            for (Descriptor layer : manifest.layers()) {
                all &= keep(layer, isThere(layer));
            }
            return all;
        }
    }
}
