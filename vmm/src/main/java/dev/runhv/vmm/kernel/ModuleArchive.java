package dev.runhv.vmm.kernel;

import dev.runhv.vmm.content.CorruptInputException;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/**
 * The archive that the kernel unpacks behind the agent's: {@code /modules} with the modules and the order in which the
 * agent loads them. Format newc (Documentation/driver-api/early-userspace/buffer-format.rst of Linux).
 */
final class ModuleArchive {
    private static final int DIRECTORY = 0040755;
    private static final int FILE = 0100644;
    private static final byte[] NOTHING = {};

    private final OutputStream out;
    private int inode;

    private ModuleArchive(OutputStream out) {
        this.out = out;
    }

    static void write(Path file, Map<String, byte[]> modules) throws IOException {
        StringBuilder order = new StringBuilder();
        modules.keySet().forEach(name -> order.append(name).append(".ko\n"));
        if (order.length() > KernelLimits.ORDER_BYTES) {
            throw new CorruptInputException("it needs too many modules");
        }
        try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(file), 1 << 16)) {
            ModuleArchive archive = new ModuleArchive(out);
            archive.entry("modules", DIRECTORY, NOTHING);
            for (Map.Entry<String, byte[]> module : modules.entrySet()) {
                archive.entry("modules/" + module.getKey() + ".ko", FILE, module.getValue());
            }
            archive.entry("modules/order", FILE, order.toString().getBytes(StandardCharsets.US_ASCII));
            archive.entry("TRAILER!!!", 0, NOTHING);
        }
    }

    private void entry(String name, int mode, byte[] data) throws IOException {
        int links = mode == DIRECTORY ? 2 : 1;
        StringBuilder header = new StringBuilder("070701");
        for (int field : new int[] {++inode, mode, 0, 0, links, 0, data.length, 0, 0, 0, 0, name.length() + 1, 0}) {
            header.append("%08X".formatted(field));
        }
        padded(header.append(name).append('\0').toString().getBytes(StandardCharsets.US_ASCII));
        padded(data);
    }

    private void padded(byte[] bytes) throws IOException {
        out.write(bytes);
        out.write(new byte[-bytes.length & 3]);
    }
}
