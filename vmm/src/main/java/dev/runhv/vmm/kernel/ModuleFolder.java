package dev.runhv.vmm.kernel;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.stream.Stream;

/** The folder of a kernel's modules as {@code make modules_install} leaves it, or any folder with modules in it. */
final class ModuleFolder {
    private ModuleFolder() {}

    static KernelFiles read(Path folder) throws IOException {
        KernelFiles files = new KernelFiles();
        Path builtIn = folder.resolve("modules.builtin");
        if (Files.exists(builtIn)) {
            try (InputStream in = Files.newInputStream(builtIn)) {
                files.addBuiltIn(in.readNBytes(KernelLimits.BUILT_IN_LIST_BYTES));
            }
        }
        try (Stream<Path> paths = Files.walk(folder)) {
            for (Iterator<Path> each = paths.iterator(); each.hasNext(); ) {
                Path path = each.next();
                String name = KernelFiles.moduleName(path.getFileName().toString());
                if (name != null && Files.isRegularFile(path)) {
                    files.add(name, () -> Files.newInputStream(path));
                }
            }
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
        return files;
    }
}
