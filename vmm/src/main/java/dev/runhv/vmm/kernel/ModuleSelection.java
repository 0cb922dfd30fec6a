package dev.runhv.vmm.kernel;

import dev.runhv.vmm.content.CorruptInputException;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Of all the modules of a kernel those that a micro-VM needs, in the order in which they load. */
final class ModuleSelection {
    /** How our devices are reached, and what the agent mounts. */
    private static final List<String> NEEDED =
            List.of("virtio_mmio", "virtio_blk", "erofs", "overlay", "vmw_vsock_virtio_transport");

    /**
     * What kernels that do not have it built in need for the others, for {@code --debug}, a scratch disk and files of the host.
     * crc32c_generic is found by no dependency: libcrc32c asks for an algorithm.
     */
    private static final List<String> USEFUL = List.of("crc32c_generic", "virtio_console", "ext4", "virtiofs");

    private static final int DEPTH = 32;

    private final KernelFiles files;
    private final Map<String, byte[]> selected = new LinkedHashMap<>();

    private ModuleSelection(KernelFiles files) {
        this.files = files;
    }

    /** The modules themselves by their names, each after those that it depends on. Empty where all is built in. */
    static Map<String, byte[]> of(KernelFiles files) throws IOException {
        ModuleSelection selection = new ModuleSelection(files);
        for (String name : USEFUL) {
            selection.addIfThere(name, 0);
        }
        for (String name : NEEDED) {
            if (files.lacks(name)) {
                throw new CorruptInputException(
                        "it has no %s, neither as a module nor built in: it cannot run in a micro-VM".formatted(name));
            }
            selection.addIfThere(name, 0);
        }
        return selection.selected;
    }

    private void addIfThere(String name, int depth) throws IOException {
        if (selected.containsKey(name) || !files.has(name)) {
            return;
        }
        if (depth > DEPTH) {
            throw new CorruptInputException("the modules depend on each other in a circle");
        }
        byte[] module = files.read(name);
        for (String dependency : ModuleInfo.dependencies(name, module)) {
            addIfThere(dependency, depth + 1);
        }
        selected.put(name, module);
    }
}
