package dev.runhv.vmm.kernel;

import dev.runhv.vmm.content.CorruptInputException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The modules that a kernel comes with, by their names, and what it says is built in. */
final class KernelFiles {
    private static final Pattern MODULE = Pattern.compile("(?:.*/)?([A-Za-z0-9_-]{1,64})\\.ko(?:\\.(?:xz|gz|zst))?");

    interface Source {
        InputStream open() throws IOException;
    }

    private final Map<String, Source> modules = new HashMap<>();
    private final Set<String> builtIn = new HashSet<>();
    private boolean tellsBuiltIn;

    /** The name of a module in a path, as the kernel spells it; null where the path is none of a module. */
    static String moduleName(String path) {
        Matcher matcher = MODULE.matcher(path);
        return matcher.matches() ? matcher.group(1).replace('-', '_') : null;
    }

    void add(String name, Source source) throws CorruptInputException {
        modules.put(name, source);
        if (modules.size() > KernelLimits.MODULES) {
            throw new CorruptInputException("it has more than %d modules".formatted(KernelLimits.MODULES));
        }
    }

    /** @param list {@code modules.builtin}: a path a line */
    void addBuiltIn(byte[] list) {
        tellsBuiltIn = true;
        new String(list, StandardCharsets.ISO_8859_1)
                .lines()
                .map(KernelFiles::moduleName)
                .filter(name -> name != null)
                .forEach(builtIn::add);
    }

    boolean has(String name) {
        return modules.containsKey(name);
    }

    /** Whether the kernel is known to do without the module. */
    boolean lacks(String name) {
        return tellsBuiltIn && !modules.containsKey(name) && !builtIn.contains(name);
    }

    /** The module itself, decompressed. */
    byte[] read(String name) throws IOException {
        try (InputStream in = Unpacked.of(modules.get(name).open(), KernelLimits.MODULE_BYTES)) {
            return in.readAllBytes();
        }
    }
}
