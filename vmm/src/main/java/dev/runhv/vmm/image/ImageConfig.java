package dev.runhv.vmm.image;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Json;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What an image says about the process to run, and what its layers must be (OCI image 1.1 config.md). Strings are empty
 * and lists are empty where the image says nothing; null and the empty string are how builders say nothing.
 *
 * @param os perhaps unsaid, as {@code crane append} leaves it
 * @param architecture perhaps unsaid
 * @param diffIds the digests of the uncompressed layers, lowest first
 * @param env {@code NAME=value}, in the image's order
 * @param created as it is said: a time of RFC 3339, where it is one
 */
public record ImageConfig(
        String os,
        String architecture,
        List<Digest> diffIds,
        List<String> entrypoint,
        List<String> cmd,
        List<String> env,
        String user,
        String workingDir,
        String stopSignal,
        List<String> exposedPorts,
        List<String> volumes,
        Map<String, String> labels,
        String created) {

    public ImageConfig {
        diffIds = List.copyOf(diffIds);
        entrypoint = List.copyOf(entrypoint);
        cmd = List.copyOf(cmd);
        env = List.copyOf(env);
        exposedPorts = List.copyOf(exposedPorts);
        volumes = List.copyOf(volumes);
        labels = Map.copyOf(labels);
    }

    /** @param text of the configuration as it is stored */
    public static ImageConfig parse(byte[] text) throws CorruptInputException {
        Json json = Json.parse(text);
        Json rootfs = json.object("rootfs");
        String type = rootfs.string("type", "");
        if (!type.isEmpty() && !type.equals("layers")) {
            throw new CorruptInputException("rootfs.type is \"" + type + "\", not \"layers\"");
        }
        List<Digest> diffIds = new ArrayList<>();
        for (String diffId : rootfs.strings("diff_ids")) {
            diffIds.add(Digest.parse(diffId));
        }
        Json config = json.objectOrEmpty("config");
        return new ImageConfig(
                json.string("os", ""),
                new Platform("", json.string("architecture", ""), "").architecture(),
                diffIds,
                words(config, "Entrypoint"),
                words(config, "Cmd"),
                config.strings("Env"),
                config.string("User", ""),
                config.string("WorkingDir", ""),
                config.string("StopSignal", ""),
                config.objectOrEmpty("ExposedPorts").memberNames(),
                config.objectOrEmpty("Volumes").memberNames(),
                config.objectOrEmpty("Labels").stringMembers(),
                json.stringMembers().getOrDefault("created", ""));
    }

    /** False where it is for linux/amd64 only because it does not say otherwise. */
    public boolean saysPlatform() {
        return !os.isEmpty() && !architecture.isEmpty();
    }

    /** A time in a configuration, of RFC 3339; empty for another text. */
    public static Optional<Instant> instant(String text) {
        try {
            return text.isEmpty()
                    ? Optional.empty()
                    : Optional.of(OffsetDateTime.parse(text).toInstant());
        } catch (DateTimeException e) {
            return Optional.empty();
        }
    }

    // docker and podman take [""] for an entry point that was reset.
    private static List<String> words(Json config, String name) throws CorruptInputException {
        List<String> words = config.strings(name);
        return words.equals(List.of("")) ? List.of() : words;
    }
}
