package dev.runhv.vmm.testing;

import com.github.luben.zstd.Zstd;
import dev.runhv.vmm.content.Digest;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.GZIPOutputStream;

/** Writes an OCI image layout, or an archive of docker save, with the layers it is given. */
public final class ImageBuilder {
    public static final String INDEX = "application/vnd.oci.image.index.v1+json";
    public static final String MANIFEST = "application/vnd.oci.image.manifest.v1+json";
    public static final String CONFIG = "application/vnd.oci.image.config.v1+json";
    public static final String LAYER = "application/vnd.oci.image.layer.v1.tar";

    /** Files by their names in the layout. */
    private final Map<String, byte[]> files = new LinkedHashMap<>();

    private final List<String> layers = new ArrayList<>();
    private final List<String> diffIds = new ArrayList<>();
    private final List<byte[]> tars = new ArrayList<>();
    private String config = "{\"Cmd\":[\"/bin/sh\"],\"Env\":[\"PATH=/bin\"]}";
    private String os = "linux";
    private String architecture = "amd64";

    public ImageBuilder layer(byte[] tar) {
        return layer(LAYER, tar, tar);
    }

    public ImageBuilder gzipLayer(byte[] tar) {
        return layer(LAYER + "+gzip", gzip(tar), tar);
    }

    public ImageBuilder zstdLayer(byte[] tar) {
        return layer(LAYER + "+zstd", Zstd.compress(tar), tar);
    }

    public ImageBuilder layer(String mediaType, byte[] stored, byte[] tar) {
        tars.add(tar);
        return layer(mediaType, stored, Digest.sha256(tar));
    }

    public ImageBuilder layer(String mediaType, byte[] stored, Digest diffId) {
        layers.add(descriptor(mediaType, stored));
        diffIds.add(diffId.toString());
        return this;
    }

    public ImageBuilder diffId(String diffId) {
        diffIds.add(diffId);
        return this;
    }

    public ImageBuilder config(String json) {
        config = json;
        return this;
    }

    public ImageBuilder platform(String newOs, String newArchitecture) {
        os = newOs;
        architecture = newArchitecture;
        return this;
    }

    /** Stores a blob and gives its descriptor without a closing brace's neighbours. */
    public String descriptor(String mediaType, byte[] content) {
        Digest digest = Digest.sha256(content);
        files.put("blobs/sha256/" + digest.hex(), content);
        return "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%d}".formatted(mediaType, digest, content.length);
    }

    public String configText() {
        return "{\"os\":\"%s\",\"architecture\":\"%s\",\"config\":%s,\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[%s]}}"
                .formatted(os, architecture, config, quoted(diffIds));
    }

    public String manifestText() {
        return "{\"schemaVersion\":2,\"mediaType\":\"%s\",\"config\":%s,\"layers\":[%s]}"
                .formatted(MANIFEST, descriptor(CONFIG, bytes(configText())), String.join(",", layers));
    }

    /** The manifest's descriptor with more members, as {@code "annotations":{…}}. */
    public String manifestDescriptor(String members) {
        return with(descriptor(MANIFEST, bytes(manifestText())), members);
    }

    public static String with(String descriptor, String members) {
        return members.isEmpty() ? descriptor : descriptor.substring(0, descriptor.length() - 1) + "," + members + "}";
    }

    public static String tagged(String tag) {
        return "\"annotations\":{\"org.opencontainers.image.ref.name\":\"%s\"}".formatted(tag);
    }

    /** The layout's files, with one image under one tag. */
    public Map<String, byte[]> layout(String tag) {
        return layoutOf(manifestDescriptor(tagged(tag)));
    }

    public Map<String, byte[]> layoutOf(String... descriptors) {
        files.put("oci-layout", bytes("{\"imageLayoutVersion\":\"1.0.0\"}"));
        files.put("index.json", bytes("{\"schemaVersion\":2,\"manifests\":[" + String.join(",", descriptors) + "]}"));
        return files;
    }

    public Path writeTo(Path directory, String tag) {
        return write(layout(tag), directory);
    }

    public static Path write(Map<String, byte[]> files, Path directory) {
        try {
            for (Map.Entry<String, byte[]> file : files.entrySet()) {
                Path path = directory.resolve(file.getKey());
                Files.createDirectories(path.getParent());
                Files.write(path, file.getValue());
            }
            return directory;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The files as a tar. */
    public static byte[] archive(Map<String, byte[]> files) {
        TarBuilder tar = new TarBuilder();
        files.forEach(tar::file);
        return tar.bytes();
    }

    /** An archive as docker save wrote them before version 25. */
    public TarBuilder dockerArchive(String name) {
        TarBuilder tar = new TarBuilder();
        List<String> paths = new ArrayList<>();
        for (int i = 0; i < tars.size(); i++) {
            tar.directory("layer" + i + "/").file("layer" + i + "/layer.tar", tars.get(i));
            paths.add("layer" + i + "/layer.tar");
        }
        String text = configText();
        String configFile = Digest.sha256(bytes(text)).hex() + ".json";
        tar.file(configFile, bytes(text));
        tar.file(
                "manifest.json",
                "[{\"Config\":\"%s\",\"RepoTags\":[\"%s\"],\"Layers\":[%s]}]"
                        .formatted(configFile, name, quoted(paths)));
        return tar;
    }

    public static byte[] gzip(byte[] content) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (GZIPOutputStream gzip = new GZIPOutputStream(out)) {
            gzip.write(content);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return out.toByteArray();
    }

    public static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String quoted(List<String> strings) {
        return strings.isEmpty() ? "" : "\"" + String.join("\",\"", strings) + "\"";
    }
}
