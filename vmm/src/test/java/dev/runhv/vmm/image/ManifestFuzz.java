package dev.runhv.vmm.image;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Json;
import java.util.Arrays;

/** A manifest, an index, docker's manifest.json: never two of them at once. */
public final class ManifestFuzz {
    private ManifestFuzz() {}

    public static void fuzzerTestOneInput(byte[] data) {
        boolean manifest = isManifest(data);
        if (manifest && isIndexWithEntries(data)) {
            throw new AssertionError("One document is a manifest and an index");
        }
        try {
            for (Json entry : Json.parseArray(data)) {
                entry.strings("Layers");
                entry.string("Config");
                entry.strings("RepoTags");
            }
        } catch (CorruptInputException e) {
            return;
        }
        // What is a whole document is none with more behind it.
        byte[] more = Arrays.copyOf(data, data.length + 2);
        more[data.length] = ',';
        more[data.length + 1] = '1';
        try {
            throw new AssertionError(
                    "More than one document: " + Json.parseArray(more).size());
        } catch (CorruptInputException e) {
            return;
        }
    }

    private static boolean isManifest(byte[] data) {
        try {
            return Manifest.parse(data).layers().size() <= ImageLimits.LAYERS;
        } catch (CorruptInputException e) {
            return false;
        }
    }

    private static boolean isIndexWithEntries(byte[] data) {
        try {
            return !ImageIndex.parse(data).manifests().isEmpty();
        } catch (CorruptInputException e) {
            return false;
        }
    }
}
