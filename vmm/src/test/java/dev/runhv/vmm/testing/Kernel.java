package dev.runhv.vmm.testing;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Where a vmlinux wants its banner, read off its ELF headers.
 *
 * @param banner {@code Linux version 6.…}
 * @param address physical
 */
public record Kernel(String banner, long address) {
    private static final int PROGRAM_HEADERS_OFFSET = 0x20;
    private static final int PROGRAM_HEADERS_COUNT = 0x38;
    private static final int PROGRAM_HEADER_BYTES = 56;
    private static final int LOAD = 1;

    public static Kernel read(Path vmlinux) throws IOException {
        ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(vmlinux)).order(ByteOrder.LITTLE_ENDIAN);
        String text = StandardCharsets.ISO_8859_1.decode(file.duplicate()).toString();
        int start = text.indexOf("Linux version 6.");
        String banner = text.substring(start, text.indexOf('\n', start));
        int headers = (int) file.getLong(PROGRAM_HEADERS_OFFSET);
        for (int i = 0; i < file.getShort(PROGRAM_HEADERS_COUNT); i++) {
            int header = headers + i * PROGRAM_HEADER_BYTES;
            long offset = file.getLong(header + 8);
            long address = file.getLong(header + 24);
            long size = file.getLong(header + 32);
            if (file.getInt(header) == LOAD && start >= offset && start < offset + size) {
                return new Kernel(banner, address + start - offset);
            }
        }
        throw new IOException("No segment of " + vmlinux + " holds its banner");
    }
}
