package dev.runhv.vmm.process;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/**
 * Where the names and states of running containers are, made and checked by {@code runhv-vmm}.
 *
 * @param path absolute
 */
public record ContainerRoot(Path path) {
    /** The one that {@code runhv} takes, too, where it is told none. */
    public static ContainerRoot find(Map<String, String> environment) {
        String named = environment.getOrDefault("RUNHV_ROOT", "");
        if (!named.isEmpty()) {
            return new ContainerRoot(Path.of(named).toAbsolutePath());
        }
        if (LocalFolders.USED) {
            return new ContainerRoot(LocalFolders.runhv(environment).resolve("run"));
        }
        String runtime = environment.getOrDefault("XDG_RUNTIME_DIR", "");
        if (!runtime.isEmpty() && Files.isDirectory(Path.of(runtime))) {
            return new ContainerRoot(Path.of(runtime).toAbsolutePath().resolve("runhv"));
        }
        String temporary = environment.getOrDefault("TMPDIR", "");
        Path parent = Path.of(temporary.isEmpty() ? "/tmp" : temporary).toAbsolutePath();
        return new ContainerRoot(parent.resolve("runhv-" + uid()));
    }

    private static int uid() {
        try {
            return (int) Files.getAttribute(Path.of("/proc/self"), "unix:uid");
        } catch (IOException e) {
            throw new IllegalStateException(e); // Linux without its /proc
        }
    }

    Path control(String id) {
        return path.resolve("containers").resolve(id).resolve("control");
    }
}
