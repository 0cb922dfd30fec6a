package dev.runhv.vmm.natives;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.api.spi.NativeFiles;
import dev.runhv.vmm.content.Digest;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.ServiceLoader;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The native files that the jars of this program hold for this host.
 *
 * @param parts in the order of their lists
 */
record NativeParts(List<Part> parts) {
    /** Whatever a list says, it is of paths that lead downwards. */
    private static final Pattern LINE =
            Pattern.compile("(?<digest>[0-9a-f]{64})  (?<path>(?:[a-z0-9][\\w.-]*/)*[a-z0-9][\\w.-]*)");

    record Part(NativeFiles files, String list) {}

    record Entry(NativeFiles files, String path, Digest digest) {}

    static NativeParts find() throws IOException {
        return of(ServiceLoader.load(NativeFiles.class, NativeParts.class.getClassLoader()), platform());
    }

    static NativeParts of(Iterable<NativeFiles> all, String platform) throws IOException {
        List<Part> parts = new ArrayList<>();
        for (NativeFiles files : all) {
            if (files.isFor(platform)) {
                try (InputStream list = files.open(NativeFiles.LIST)) {
                    parts.add(new Part(files, new String(list.readAllBytes(), StandardCharsets.UTF_8)));
                }
            }
        }
        parts.sort(Comparator.comparing(Part::list));
        return new NativeParts(List.copyOf(parts));
    }

    /** As the artifacts call it. */
    static String platform() {
        String system = System.getProperty("os.name").toLowerCase(Locale.ROOT).replaceAll(" .*", "");
        String processor = System.getProperty("os.arch");
        return system + "-" + (processor.equals("amd64") ? "x86_64" : processor);
    }

    /** Of the lists, and so of every file. */
    Digest digest() {
        StringBuilder lists = new StringBuilder();
        parts.forEach(part -> lists.append(part.list()));
        return Digest.sha256(lists.toString().getBytes(StandardCharsets.UTF_8));
    }

    List<Entry> entries() {
        List<Entry> entries = new ArrayList<>();
        for (Part part : parts) {
            for (String line : part.list().split("\n")) {
                Matcher matcher = LINE.matcher(line);
                if (!matcher.matches()) {
                    throw damaged(part.files(), "its " + NativeFiles.LIST + " has the line \"" + line + "\"");
                }
                entries.add(new Entry(
                        part.files(),
                        matcher.group("path"),
                        new Digest(Digest.Algorithm.SHA256, matcher.group("digest"))));
            }
        }
        return entries;
    }

    static RunhvException damaged(NativeFiles files, String detail) {
        return RunhvException.of(
                ErrorCode.CORRUPT_INPUT,
                "read the native files " + files.folder(),
                "The jar is damaged: " + detail,
                null,
                null);
    }
}
