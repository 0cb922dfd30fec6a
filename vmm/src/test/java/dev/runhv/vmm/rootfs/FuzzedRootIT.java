package dev.runhv.vmm.rootfs;

import static org.assertj.core.api.Assertions.assertThat;

import dev.runhv.vmm.content.tar.Corpus;
import dev.runhv.vmm.content.tar.TarEntry;
import dev.runhv.vmm.content.tar.TarReader;
import dev.runhv.vmm.image.ImageReference;
import dev.runhv.vmm.image.ImageSource;
import dev.runhv.vmm.image.Layer;
import dev.runhv.vmm.testing.InstalledDistribution;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Our kernel's opinion of an image that damaged layers made: hundreds of trees, each in a folder of its own. */
class FuzzedRootIT {
    private static final int SEEDS = Integer.getInteger("runhv.fuzz.trees", 100);
    private static final int READ_BYTES = 1 << 18;

    @TempDir
    private Path folder;

    @Test
    void ourKernelSeesWhatTheTreeHolds() throws Exception {
        Path home = InstalledDistribution.home();
        Path image = Files.createDirectory(folder.resolve("rootfs")).resolve("root.erofs");
        List<Path> layers = write(image);
        if (Fsck.isInstalled()) {
            Fsck.accepts(Rootfs.joined(image, layers));
        }
        // A name a line would not do: some hold line ends.
        String script = "find /fuzz -xdev -print0 | tr -dc '\\000' | wc -c; "
                + "find /fuzz -xdev -type f -size -" + (READ_BYTES + 1)
                + "c -print0 | sort -z | xargs -0 cat | md5sum";
        Path bundle = Files.createDirectory(folder.resolve("bundle"));
        Files.writeString(bundle.resolve("config.json"), """
                {"ociVersion":"1.2.0",
                 "annotations":{"dev.runhv.memory":"268435456","dev.runhv.rootfs.layers":"%s\\n%s"},
                 "process":{"args":["sh","-c","%s"],"cwd":"/","env":["PATH=/bin"]},
                 "vm":{"image":{"path":"%s","format":"raw"}}}
                """.formatted(
                        layers.get(0), layers.get(1), script.replace("\\", "\\\\"), image));

        Process process = new ProcessBuilder(
                        home.resolve("bin/runhv").toString(),
                        "run",
                        "--bundle",
                        bundle.toString(),
                        "fuzzed-" + ProcessHandle.current().pid())
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        process.getOutputStream().close();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);

        assertThat(process.waitFor()).as(output).isZero();
        assertThat(output.lines()).containsExactly(expected(image, layers));
    }

    /** @return the files that are the rest of the image */
    private List<Path> write(Path image) throws IOException, InterruptedException {
        RootTree tree = new RootTree();
        Path fuzz = folder.resolve("fuzz.data");
        int blocks;
        try (ImageOutput out = create(fuzz)) {
            FileDataWriter data = new FileDataWriter(out);
            tree.beginLayer();
            for (String file : new String[] {"gnu.tar", "posix-sparse-0.1.tar", "posix-sparse-1.0.tar"}) {
                byte[] whole = Corpus.read(file);
                for (int seed = 0; seed < SEEDS; seed++) {
                    apply(
                            FuzzTest.damaged(whole, new Random(seed), true),
                            "fuzz/" + file + "/" + seed + "/",
                            tree,
                            data);
                }
            }
            out.finish();
            blocks = out.block();
        }
        // Last, so that no damaged name takes the place of a program.
        StoredLayers layers = new StoredLayers(folder.resolve("store"));
        Path busybox = InstalledDistribution.sources().resolve("build/images/busybox");
        try (ImageSource source = ImageSource.open(new ImageReference.OciLayout(busybox, ""), busybox);
                ImageOutput out = create(image)) {
            Layer layer = source.layers().getFirst();
            int layerBlocks = layers.require(layer, bytes -> {});
            new LayerMerge(tree).apply(layers.entries(layer.diffId()), blocks, layerBlocks);
            new ErofsWriter(out).finishBeforeData(tree, new byte[16], blocks + layerBlocks);
            return List.of(fuzz, layers.data(layer.diffId()));
        }
    }

    private static ImageOutput create(Path file) throws IOException {
        return new ImageOutput(FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE));
    }

    private static void apply(byte[] damaged, String parent, RootTree tree, FileDataWriter data) {
        try {
            TarReader tar = new TarReader(new ByteArrayInputStream(damaged));
            for (TarEntry entry = tar.next(); entry != null; entry = tar.next()) {
                TarEntry moved = new TarEntry(
                        entry.type(),
                        parent + entry.name(),
                        entry.type() == TarEntry.Type.HARD_LINK ? parent + entry.linkName() : entry.linkName(),
                        entry.mode(),
                        entry.uid(),
                        entry.gid(),
                        entry.size(),
                        entry.mtimeSeconds(),
                        entry.mtimeNanos(),
                        entry.deviceMajor(),
                        entry.deviceMinor(),
                        entry.sparse(),
                        entry.xattrs());
                tree.apply(moved, RootTree.wantsData(moved) ? data.append(tar, moved.size(), moved.sparse()) : null);
            }
        } catch (IOException e) {
            // What came before the damage stands.
            return;
        }
    }

    private static String[] expected(Path image, List<Path> layers) throws Exception {
        TreeMap<String, ErofsReader.ErofsInode> files = new TreeMap<>();
        long[] names = {0};
        MessageDigest content = MessageDigest.getInstance("MD5");
        try (ErofsReader reader = ErofsReader.open(image, layers)) {
            reader.walk((name, inode) -> {
                if (name.equals("/fuzz") || name.startsWith("/fuzz/")) {
                    names[0]++;
                    if (inode.isRegular() && inode.size() <= READ_BYTES) {
                        files.put(name, inode);
                    }
                }
            });
            for (ErofsReader.ErofsInode inode : files.values()) {
                content.update(reader.content(inode, 0, (int) inode.size()));
            }
        }
        assertThat(names[0]).isGreaterThan(SEEDS);
        return new String[] {String.valueOf(names[0]), HexFormat.of().formatHex(content.digest()) + "  -"};
    }
}
