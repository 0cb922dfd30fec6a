package dev.runhv.vmm.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.testing.TarBuilder;
import java.io.EOFException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DebianPackageTest {
    private static final byte[] MODULE = Modules.module("depends=virtio");

    @TempDir
    Path folder;

    private byte[] tar() throws IOException {
        return new TarBuilder()
                .file("./boot/vmlinuz-6.1.0-9", "kernel")
                .file("./usr/lib/modules/6.1.0-9/kernel/virtio-mmio.ko", MODULE)
                .file("./usr/lib/modules/6.1.0-9/kernel/fs/erofs.ko.xz", ModuleSelectionTest.xz(MODULE))
                .file("./usr/lib/modules/6.1.0-9/modules.builtin", "kernel/fs/overlay.ko\n")
                .file("./usr/share/doc/erofs.ko", "not here")
                .bytes();
    }

    private final List<FileChannel> spools = new ArrayList<>();

    @AfterEach
    void close() throws IOException {
        for (FileChannel spool : spools) {
            spool.close();
        }
    }

    private KernelFiles read(byte[] deb) throws IOException {
        Path file = folder.resolve("kernel.deb");
        Files.write(file, deb);
        assertThat(DebianPackage.is(file)).isEqualTo(deb.length > 8 && deb[0] == '!');
        FileChannel spool = FileChannel.open(
                folder.resolve("spool-" + spools.size()),
                StandardOpenOption.CREATE_NEW,
                StandardOpenOption.READ,
                StandardOpenOption.WRITE);
        spools.add(spool);
        return DebianPackage.read(file, folder.resolve("kernel"), spool);
    }

    @Test
    void kernelModulesAndWhatIsBuiltInAreRead() throws IOException {
        for (byte[] deb :
                new byte[][] {Modules.deb("data.tar", tar()), Modules.deb("data.tar.xz/", ModuleSelectionTest.xz(tar()))
                }) {
            KernelFiles files = read(deb);

            assertThat(folder.resolve("kernel")).hasContent("kernel");
            assertThat(files.read("virtio_mmio")).isEqualTo(MODULE);
            assertThat(files.read("erofs")).isEqualTo(MODULE);
            assertThat(files.lacks("overlay")).isFalse();
            assertThat(files.lacks("virtio_blk")).isTrue();
        }
    }

    @Test
    void aPackageWithoutAKernelIsRefused() throws IOException {
        byte[] empty = new TarBuilder().file("./usr/bin/x", "x").bytes();

        assertThatThrownBy(() -> read(Modules.deb("data.tar", empty)))
                .isInstanceOf(CorruptInputException.class)
                .hasMessageContaining("holds no kernel");
        assertThatThrownBy(() -> read(Modules.deb("other.tar", empty))).hasMessageContaining("holds no data.tar");
    }

    @Test
    void aPackageThatIsCutOffAnywhereIsRefused() throws IOException {
        byte[] deb = Modules.deb("data.tar.xz", ModuleSelectionTest.xz(tar()));
        for (int length = 0; length < deb.length - 1; length += 7) {
            byte[] cut = Arrays.copyOf(deb, length);
            assertThatThrownBy(() -> read(cut)).isInstanceOfAny(CorruptInputException.class, EOFException.class);
        }
    }

    @Test
    void damageIsRefused() throws IOException {
        byte[] deb = Modules.deb("data.tar.xz", ModuleSelectionTest.xz(tar()));
        byte[] header = deb.clone();
        header[8 + 58] = 'x';
        byte[] size = deb.clone();
        Arrays.fill(size, 8 + 48, 8 + 58, (byte) '-');
        byte[] data = deb.clone();
        data[deb.length - 40] ^= 0x55;
        for (byte[] bad : new byte[][] {header, size, data}) {
            assertThatThrownBy(() -> read(bad)).isInstanceOf(CorruptInputException.class);
        }
    }
}
