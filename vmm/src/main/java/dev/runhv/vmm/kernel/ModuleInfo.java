package dev.runhv.vmm.kernel;

import dev.runhv.vmm.content.CorruptInputException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.Stream;

/** What a module says of itself in its section {@code .modinfo}. */
final class ModuleInfo {
    // ELF-64 Object File Format 1.5
    private static final int SECTION_TABLE = 40;
    private static final int SECTION_SIZE = 58;
    private static final int SECTION_COUNT = 60;
    private static final int SECTION_OF_NAMES = 62;
    private static final int ELF_HEADER = 64;
    private static final int SECTION_HEADER = 64;
    private static final byte[] IDENT = {0x7f, 'E', 'L', 'F', 2, 1, 1};

    private final String name;
    private final ByteBuffer elf;

    private ModuleInfo(String name, byte[] module) {
        this.name = name;
        this.elf = ByteBuffer.wrap(module).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** The modules that must be loaded before this one. */
    static List<String> dependencies(String name, byte[] module) throws CorruptInputException {
        return new ModuleInfo(name, module)
                .strings()
                .filter(text -> text.startsWith("depends="))
                .flatMap(text -> Stream.of(text.substring("depends=".length()).split(",")))
                .filter(text -> !text.isEmpty())
                .map(text -> text.replace('-', '_'))
                .toList();
    }

    private Stream<String> strings() throws CorruptInputException {
        if (elf.capacity() < ELF_HEADER
                || !elf.slice(0, IDENT.length).equals(ByteBuffer.wrap(IDENT))
                || u16(SECTION_SIZE) != SECTION_HEADER) {
            throw corrupt("is no ELF file");
        }
        ByteBuffer names = section(u16(SECTION_OF_NAMES));
        for (int i = 0; i < u16(SECTION_COUNT); i++) {
            if (text(names, elf.getInt(header(i))).equals(".modinfo")) {
                ByteBuffer section = section(i);
                return Stream.of(
                        StandardCharsets.ISO_8859_1.decode(section).toString().split("\0"));
            }
        }
        throw corrupt("has no section .modinfo");
    }

    private int header(int section) throws CorruptInputException {
        long table = elf.getLong(SECTION_TABLE);
        if (section >= u16(SECTION_COUNT) || table < 0 || table > elf.capacity() - (section + 1L) * SECTION_HEADER) {
            throw corrupt("has a section outside the file");
        }
        return (int) table + section * SECTION_HEADER;
    }

    private ByteBuffer section(int section) throws CorruptInputException {
        int header = header(section);
        long offset = elf.getLong(header + 24);
        long size = elf.getLong(header + 32);
        if (offset < 0 || size < 0 || offset > elf.capacity() || size > elf.capacity() - offset) {
            throw corrupt("has a section outside the file");
        }
        return elf.slice((int) offset, (int) size);
    }

    private static String text(ByteBuffer names, int offset) {
        StringBuilder text = new StringBuilder();
        for (int i = offset; i >= 0 && i < names.capacity() && names.get(i) != 0; i++) {
            text.append((char) (names.get(i) & 0xff));
        }
        return text.toString();
    }

    private int u16(int offset) {
        return elf.getShort(offset) & 0xffff;
    }

    private CorruptInputException corrupt(String what) {
        return new CorruptInputException("the module " + name + " " + what);
    }
}
