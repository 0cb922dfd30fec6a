package dev.runhv.vmm.process;

import dev.runhv.api.Output;
import java.nio.file.Path;

/**
 * How a micro-VM's process is to be begun.
 *
 * @param bundle is removed by the process as soon as its files are open
 * @param folder closed to other users; the process connects to a socket in it
 * @param stops whether it waits for a START once the container is created
 * @param stdin whether the standard input is connected
 */
public record Launch(
        Distribution distribution,
        ContainerRoot root,
        String id,
        Path bundle,
        Path folder,
        boolean stops,
        boolean stdin,
        Output stdout,
        Output stderr) {}
