package dev.runhv.vmm.rootfs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.tar.Corpus;
import dev.runhv.vmm.content.tar.TarEntry;
import dev.runhv.vmm.content.tar.TarReader;
import dev.runhv.vmm.image.ImageReference;
import dev.runhv.vmm.image.ImageSource;
import dev.runhv.vmm.testing.ImageBuilder;
import dev.runhv.vmm.testing.TarBuilder;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Damages what is whole, in a way that each seed repeats, and demands what every reader promises: a result or its own
 * exception. More rounds: {@code -Drunhv.fuzz.rounds=100000}.
 */
class FuzzTest {
    private static final int ROUNDS = Integer.getInteger("runhv.fuzz.rounds", 400);

    @TempDir
    private Path folder;

    @ParameterizedTest
    @ValueSource(
            strings = {
                "gnu.tar",
                "gnu-many-pieces.tar.gz",
                "posix-sparse-0.0.tar",
                "posix-sparse-0.1.tar",
                "posix-sparse-1.0.tar"
            })
    void damagedTarsGiveATreeOrAnError(String file) throws IOException {
        byte[] whole = Corpus.read(file);
        int trees = 0;
        Path image = folder.resolve("image");
        for (int seed = 0; seed < ROUNDS; seed++) {
            byte[] damaged = damaged(whole, new Random(seed), true);
            try (FileChannel channel = FileChannel.open(
                    image, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE)) {
                // The tree and the data of a layer, without the digests that would catch any damage first.
                RootTree tree = new RootTree();
                ImageOutput out = new ImageOutput(channel);
                ErofsWriter writer = new ErofsWriter(out);
                FileDataWriter data = new FileDataWriter(out);
                tree.beginLayer();
                TarReader tar = new TarReader(new ByteArrayInputStream(damaged));
                for (TarEntry entry = tar.next(); entry != null; entry = tar.next()) {
                    tree.apply(
                            entry, RootTree.wantsData(entry) ? data.append(tar, entry.size(), entry.sparse()) : null);
                }
                writer.finishBehindData(tree, new byte[16]);
                trees++;
            } catch (IOException e) {
                continue;
            } catch (RuntimeException | Error e) {
                fail("seed " + seed, e);
            }
            assertThat(Rootfs.describe(image)).as("seed %d", seed).isNotEmpty();
        }
        assertThat(trees).isBetween(1, ROUNDS);
    }

    @Test
    void damagedImagesGiveTheirContentOrAnError() throws IOException {
        TarBuilder tar = new TarBuilder().symlink("link", "dir/file").xattr("user.a", new byte[100]);
        for (int i = 0; i < 300; i++) {
            tar.file("dir/file" + i, "content " + i);
        }
        Path whole = Rootfs.of(folder, tar.symlink("dir/file", "file7").bytes());
        byte[] bytes = Files.readAllBytes(whole);
        // Only what describes the file system is worth damaging: between the superblock and the content of the files.
        int end = bytes.length - 300 * Erofs.BLOCK;
        Path image = folder.resolve("damaged");
        for (int seed = 0; seed < ROUNDS; seed++) {
            Random random = new Random(seed);
            byte[] damaged = bytes.clone();
            byte[] part = damaged(Arrays.copyOfRange(bytes, Erofs.BLOCK, end), random, false);
            System.arraycopy(part, 0, damaged, Erofs.BLOCK, part.length);
            Files.write(image, damaged);
            try (ErofsReader reader = ErofsReader.open(image)) {
                reader.readFile("/link", 1000);
                reader.walk((file, inode) -> {
                    reader.xattrs(inode);
                    if (inode.isRegular()) {
                        reader.content(inode, 0, (int) Math.min(inode.size(), 1000));
                    } else if (inode.isSymbolicLink()) {
                        reader.target(inode);
                    }
                });
            } catch (IOException | RunhvException e) {
                continue;
            } catch (RuntimeException | Error e) {
                fail("seed " + seed, e);
            }
        }
    }

    @Test
    void damagedSuperblocksGiveAnError() throws IOException {
        byte[] bytes = Files.readAllBytes(
                Rootfs.of(folder, new TarBuilder().file("a", "1").bytes()));
        Path image = folder.resolve("damaged");
        for (int seed = 0; seed < ROUNDS; seed++) {
            Random random = new Random(seed);
            byte[] damaged = bytes.clone();
            int at = Erofs.SUPERBLOCK_OFFSET + random.nextInt(Erofs.SUPERBLOCK_BYTES);
            damaged[at] ^= (byte) (1 << random.nextInt(8));
            Files.write(image, damaged);
            try (ErofsReader _ = ErofsReader.open(image)) {
                fail("seed " + seed + " went unnoticed at " + at);
            } catch (RunhvException e) {
                assertThat(e).hasMessageContaining("Cannot read root file system");
            }
        }
    }

    @Test
    void damagedManifestsAndConfigurationsGiveAnImageOrAnError() throws Exception {
        byte[] tar = new TarBuilder().file("a", "1").bytes();
        for (int seed = 0; seed < ROUNDS; seed++) {
            Random random = new Random(seed);
            ImageBuilder image = new ImageBuilder().layer(tar);
            byte[] config = damaged(ImageBuilder.bytes(image.configText()), random, seed % 3 == 0);
            String manifest = image.manifestText()
                    .replaceFirst(
                            "\"config\":\\{[^}]*}",
                            "\"config\":"
                                    + image.descriptor(
                                            ImageBuilder.CONFIG,
                                            seed % 3 == 0 ? config : ImageBuilder.bytes(image.configText())));
            byte[] manifestBytes = ImageBuilder.bytes(manifest);
            String descriptor = image.descriptor(
                    ImageBuilder.MANIFEST, seed % 3 == 1 ? damaged(manifestBytes, random, true) : manifestBytes);
            Map<String, byte[]> files = image.layoutOf(descriptor);
            if (seed % 3 == 2) {
                files.put("index.json", damaged(files.get("index.json"), random, true));
            }
            Path layout = ImageBuilder.write(files, folder.resolve("layout"));
            try (ImageSource source = ImageSource.open(new ImageReference.OciLayout(layout, ""), layout)) {
                assertThat(source.layers()).hasSize(1);
            } catch (RunhvException e) {
                assertThat(e.detail()).isNotBlank();
            } catch (RuntimeException | Error e) {
                fail("seed " + seed, e);
            }
        }
    }

    /** A few bits, numbers or runs changed; the length too where it may. */
    static byte[] damaged(byte[] whole, Random random, boolean length) {
        byte[] damaged = whole.clone();
        for (int changes = 1 + random.nextInt(4); changes > 0; changes--) {
            int at = random.nextInt(damaged.length);
            switch (random.nextInt(length ? 5 : 4)) {
                case 0 -> damaged[at] ^= (byte) (1 << random.nextInt(8));
                case 1 ->
                    damaged[at] = List.of((byte) 0, (byte) 0xff, (byte) 0x80, (byte) '9', (byte) '.')
                            .get(random.nextInt(5));
                case 2 -> Arrays.fill(damaged, at, Math.min(at + 8, damaged.length), (byte) random.nextInt(256));
                case 3 ->
                    System.arraycopy(
                            whole,
                            random.nextInt(whole.length - Math.min(16, whole.length - 1)),
                            damaged,
                            Math.max(0, Math.min(at, damaged.length - 16)),
                            Math.min(16, Math.min(whole.length, damaged.length)) - 1);
                default -> damaged = Arrays.copyOf(damaged, Math.max(1, at));
            }
        }
        if (length && damaged.length > 512 && random.nextBoolean()) {
            repairChecksums(damaged);
        }
        return damaged;
    }

    /** Lets damage through to what lies behind the checksum of a tar header. */
    private static void repairChecksums(byte[] tar) {
        for (int at = 0; at + 512 <= tar.length; at += 512) {
            if (new String(tar, at + 257, 5, java.nio.charset.StandardCharsets.ISO_8859_1).equals("ustar")) {
                byte[] header = TarBuilder.checksummed(Arrays.copyOfRange(tar, at, at + 512));
                System.arraycopy(header, 0, tar, at, 512);
            }
        }
    }
}
