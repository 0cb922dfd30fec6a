package dev.runhv.vmm.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.vmm.content.CorruptInputException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tukaani.xz.LZMA2Options;
import org.tukaani.xz.XZOutputStream;

class ModuleSelectionTest {
    @TempDir
    Path folder;

    private final KernelFiles files = new KernelFiles();

    private void module(String name, String dependencies) throws IOException {
        byte[] content = Modules.module("depends=" + dependencies);
        files.add(name, () -> new ByteArrayInputStream(content));
    }

    private void builtIn(String... names) {
        StringBuilder list = new StringBuilder();
        for (String name : names) {
            list.append("kernel/drivers/").append(name).append(".ko\n");
        }
        files.addBuiltIn(list.toString().getBytes(StandardCharsets.US_ASCII));
    }

    @Test
    void everyModuleComesAfterThoseThatItDependsOn() throws IOException {
        module("virtio_ring", "");
        module("virtio", "virtio_ring");
        module("virtio_mmio", "virtio,virtio_ring");
        module("virtio_blk", "virtio_ring,virtio");
        module("unrelated", "virtio");
        builtIn("erofs", "overlay", "vmw_vsock_virtio_transport");

        assertThat(ModuleSelection.of(files).keySet())
                .containsExactly("virtio_ring", "virtio", "virtio_mmio", "virtio_blk");
    }

    @Test
    void aKernelThatLacksADriverIsRefused() throws IOException {
        module("virtio_mmio", "");
        builtIn("virtio-blk", "erofs", "overlay");

        assertThatThrownBy(() -> ModuleSelection.of(files))
                .isInstanceOf(CorruptInputException.class)
                .hasMessageContaining("no vmw_vsock_virtio_transport, neither as a module nor built in");
    }

    @Test
    void aKernelThatDoesNotTellWhatIsBuiltInIsGivenWhatThereIs() throws IOException {
        module("erofs", "");

        assertThat(ModuleSelection.of(files).keySet()).containsExactly("erofs");
    }

    @Test
    void modulesInACircleAreRefused() throws IOException {
        module("erofs", "overlay");
        module("overlay", "erofs");

        assertThatThrownBy(() -> ModuleSelection.of(files)).hasMessageContaining("in a circle");
    }

    @Test
    void aFolderIsReadWhateverItsModulesAreCompressedBy() throws IOException {
        byte[] module = Modules.module("depends=");
        Files.createDirectories(folder.resolve("kernel/fs"));
        Files.write(folder.resolve("kernel/fs/erofs.ko.xz"), xz(module));
        Files.write(folder.resolve("kernel/fs/overlay.ko"), module);
        Files.write(folder.resolve("kernel/fs/notes.txt"), module);

        KernelFiles read = ModuleFolder.read(folder);

        assertThat(read.read("erofs")).isEqualTo(module);
        assertThat(read.read("overlay")).isEqualTo(module);
        assertThat(read.has("notes")).isFalse();
    }

    @Test
    void theArchiveHoldsTheModulesAndTheirOrder() throws IOException {
        module("erofs", "");
        Path archive = folder.resolve("modules.cpio");

        ModuleArchive.write(archive, ModuleSelection.of(files));

        String text = Files.readString(archive, StandardCharsets.ISO_8859_1);
        assertThat(text).startsWith("070701").contains("modules/erofs.ko\0", "modules/order\0", "erofs.ko\n");
        assertThat(text.stripTrailing()).contains("TRAILER!!!\0");
        assertThat(Files.size(archive) % 4).isZero();
    }

    static byte[] xz(byte[] content) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (XZOutputStream xz = new XZOutputStream(out, new LZMA2Options(0))) {
            xz.write(content);
        }
        return out.toByteArray();
    }
}
