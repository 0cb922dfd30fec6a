package dev.runhv.vmm.rootfs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.runhv.vmm.testing.ImageBuilder;
import dev.runhv.vmm.testing.TarBuilder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Layers written by tar(1), unpacked by umoci and by us: every file must be the same. */
class UmociIT {
    private static final Pattern OCTAL = Pattern.compile("\\\\([0-7]{3})");

    @TempDir
    private Path folder;

    @BeforeEach
    void requireUmoci() throws IOException, InterruptedException {
        for (String program : List.of("/usr/bin/umoci", "/usr/bin/getfattr", "/usr/sbin/setcap")) {
            assumeTrue(Files.isExecutable(Path.of(program)), program + " is not installed");
        }
        assumeTrue(run("id", "-u").strip().equals("0"), "umoci keeps owners only for root");
        Path probe = Files.createFile(folder.resolve("probe"));
        assumeTrue(
                new ProcessBuilder("mknod", folder.resolve("node").toString(), "c", "1", "3")
                                .start()
                                .waitFor()
                        == 0,
                "device nodes cannot be made here");
        assumeTrue(
                new ProcessBuilder("setfattr", "-n", "user.a", "-v", "1", probe.toString())
                                .start()
                                .waitFor()
                        == 0,
                "the folder for temporary files has no extended attributes");
    }

    @Test
    void agreesWithUmociOnEveryFile() throws IOException, InterruptedException {
        byte[] base = layer("base", """
                mkdir -p etc usr/bin usr/lib opaque/sub gone dev
                cp /bin/tar usr/bin/tar; ln usr/bin/tar usr/bin/tar-again; ln -s tar usr/bin/t; ln -s usr/bin bin
                cp /bin/true usr/bin/ping; setcap cap_net_raw+ep usr/bin/ping; chmod 4755 usr/bin/tar
                mknod dev/null c 1 3; mknod dev/sda b 259 70000; mkfifo dev/pipe; chmod 1777 opaque
                echo old >opaque/old; echo old >opaque/sub/old; echo gone >gone/file; echo keep >etc/keep
                chown 1000:2000 etc/keep; chown 3000000:4000000 etc; setfattr -n user.note -v text etc/keep
                touch -d '1969-12-31 23:59:58 UTC' etc/before-1970; echo x >"$(printf 'etc/\\303\\244 \\377')"
                echo y >etc/$(printf 'n%.0s' $(seq 250)); mkdir -p $(printf 'deeply/nested/%.0s' $(seq 15))
                truncate -s 40M usr/lib/sparse; printf middle | dd of=usr/lib/sparse bs=1 seek=20000000 conv=notrunc
                head -c 5000000 /dev/urandom >usr/lib/random
                """, "--format=posix", "--sparse", "--xattrs", "--xattrs-include=*");
        byte[] middle = layer("middle", """
                mkdir -p etc opaque usr/lib; touch .wh.gone opaque/.wh..wh..opq; echo new >opaque/new
                echo other >usr/lib/other; chmod 700 usr; touch -d '2001-02-03 04:05:06.789' usr/lib
                mkdir -p file-then-dir; echo z >file-then-dir/z
                """, "--format=gnu");
        // tar(1) cannot make a link to what it does not see.
        byte[] top = new TarBuilder()
                .hardlink("usr/lib/linked", "usr/lib/random")
                .hardlink("etc/t-again", "usr/bin/t")
                .xattr("user.empty", new byte[0])
                .xattr("user.full", new byte[] {1})
                .file("etc/attributes", "")
                .file("bin/through-the-link", "1")
                .mode(0750)
                .directory("etc/")
                .bytes();
        ImageBuilder image =
                new ImageBuilder().gzipLayer(base).gzipLayer(middle).gzipLayer(top);
        Path ours = Rootfs.prepare(folder.resolve("ours"), image);

        run(
                "/usr/bin/umoci",
                "unpack",
                "--image",
                folder.resolve("ours/oci") + ":test",
                folder.resolve("bundle").toString());

        Map<String, String> expected = describe(folder.resolve("bundle/rootfs"));
        Map<String, String> actual = Rootfs.describe(ours);
        // umoci gives the root, for which no layer has an entry, attributes of its own.
        expected.remove("/");
        actual.remove("/");
        assertThat(expected).hasSizeGreaterThan(40);
        assertThat(actual).containsExactlyEntriesOf(expected);
        Fsck.requireInstalled();
        Fsck.accepts(ours);
        Fsck.accepts(ours, "--extract=" + folder.resolve("extracted"));
    }

    private byte[] layer(String name, String script, String... options) throws IOException, InterruptedException {
        Path root = Files.createDirectories(folder.resolve(name));
        run("sh", "-ec", "cd " + root + "\n" + script);
        Path tar = folder.resolve(name + ".tar");
        run(Stream.of(
                        Stream.of("tar", "--create", "--file=" + tar, "--directory=" + root),
                        Stream.of(options),
                        Stream.of(root.toFile().list()))
                .flatMap(s -> s)
                .toArray(String[]::new));
        return Files.readAllBytes(tar);
    }

    /** The same lines that {@link Rootfs#describe} makes of an image, made by coreutils, findutils and attr. */
    private static Map<String, String> describe(Path root) throws IOException, InterruptedException {
        Map<String, String> contents = new HashMap<>();
        String[] links = records(root, "find . -type l -printf '%p\\0%l\\0'");
        for (int i = 0; i < links.length - 1; i += 2) {
            contents.put(links[i], links[i + 1]);
        }
        for (String line : records(root, "find . -type f -print0 | xargs -0 -r sha256sum --zero --binary")) {
            contents.put(line.substring(66), line.substring(0, 16));
        }
        Map<String, String> xattrs = xattrs(root);
        Map<String, String> lines = new TreeMap<>();
        for (String line : records(root, "find . -print0 | xargs -0 stat --printf '%f %u:%g %s %h %.9Y %t %T %n\\0'")) {
            String[] fields = line.split(" ", 8);
            int mode = Integer.parseInt(fields[0], 16);
            String device = Integer.parseInt(fields[5], 16) + "," + Integer.parseInt(fields[6], 16);
            String content = switch (mode >> 12) {
                case 010 -> "- " + fields[2] + " " + contents.get(fields[7]);
                case 004 -> "d";
                case 012 -> "l " + contents.get(fields[7]);
                case 002 -> "c " + device;
                case 006 -> "b " + device;
                case 001 -> "p";
                default -> throw new AssertionError(line);
            };
            lines.put(
                    fields[7].equals(".") ? "/" : fields[7].substring(1),
                    "%s %o %s %s n%s%s"
                            .formatted(
                                    content,
                                    mode & 07777,
                                    fields[1],
                                    fields[4],
                                    fields[3],
                                    xattrs.getOrDefault(fields[7], "")));
        }
        return lines;
    }

    private static Map<String, String> xattrs(Path root) throws IOException, InterruptedException {
        Map<String, String> xattrs = new HashMap<>();
        String file = "";
        for (String line : shell(root, "find . -print0 | xargs -0 getfattr -h -d -m - -e hex")
                .split("\n")) {
            if (line.startsWith("# file: ")) {
                file = OCTAL.matcher(line.substring(8))
                        .replaceAll(match ->
                                Matcher.quoteReplacement(String.valueOf((char) Integer.parseInt(match.group(1), 8))));
            } else if (!line.isEmpty()) {
                xattrs.merge("./" + file.replaceFirst("^\\./", ""), " " + line.replace("=0x", "="), String::concat);
            }
        }
        return xattrs;
    }

    private static String[] records(Path root, String command) throws IOException, InterruptedException {
        return shell(root, command).split("\0");
    }

    private static String shell(Path root, String command) throws IOException, InterruptedException {
        return run("sh", "-ec", "export LC_ALL=C; cd " + root + "; " + command);
    }

    private static String run(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.ISO_8859_1);
        assertThat(process.waitFor())
                .as(String.join(" ", command) + "\n" + output)
                .isZero();
        return output;
    }
}
