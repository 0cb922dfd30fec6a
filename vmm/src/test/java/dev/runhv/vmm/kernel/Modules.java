package dev.runhv.vmm.kernel;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** Kernel modules with nothing in them but what they say of themselves. */
final class Modules {
    private static final int HEADER = 64;

    private Modules() {}

    /** @param modinfo the strings of the section */
    static byte[] module(String... modinfo) {
        byte[] names = "\0.modinfo\0.shstrtab\0".getBytes(StandardCharsets.US_ASCII);
        byte[] strings = (String.join("\0", modinfo) + "\0").getBytes(StandardCharsets.US_ASCII);
        ByteBuffer elf = ByteBuffer.allocate(HEADER + 3 * HEADER + names.length + strings.length)
                .order(ByteOrder.LITTLE_ENDIAN);
        elf.put(new byte[] {0x7f, 'E', 'L', 'F', 2, 1, 1});
        elf.putLong(40, HEADER); // sections begin here
        elf.putShort(58, (short) HEADER);
        elf.putShort(60, (short) 3);
        elf.putShort(62, (short) 2); // names are in the last
        section(elf, 1, 1, 4 * HEADER + names.length, strings.length);
        section(elf, 2, 10, 4 * HEADER, names.length);
        elf.put(4 * HEADER, names);
        elf.put(4 * HEADER + names.length, strings);
        return elf.array();
    }

    private static void section(ByteBuffer elf, int index, int name, int offset, int size) {
        int at = HEADER + index * HEADER;
        elf.putInt(at, name);
        elf.putLong(at + 24, offset);
        elf.putLong(at + 32, size);
    }

    /** A Debian package around a data.tar. */
    static byte[] deb(String member, byte[] data) {
        ByteArrayOutputStream deb = new ByteArrayOutputStream();
        deb.writeBytes("!<arch>\n".getBytes(StandardCharsets.US_ASCII));
        for (Object[] each : new Object[][] {
            {"debian-binary", "2.0\n".getBytes(StandardCharsets.US_ASCII)}, {"control.tar", new byte[3]}, {member, data}
        }) {
            byte[] content = (byte[]) each[1];
            deb.writeBytes("%-16s%-12d%-6d%-6d%-8s%-10d`\n"
                    .formatted(each[0], 0, 0, 0, "100644", content.length)
                    .getBytes(StandardCharsets.US_ASCII));
            deb.writeBytes(content);
            deb.writeBytes(new byte[content.length & 1]);
        }
        return deb.toByteArray();
    }
}
