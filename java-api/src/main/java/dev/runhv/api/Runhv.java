package dev.runhv.api;

import dev.runhv.api.spi.RunhvProvider;
import java.util.ServiceLoader;
import java.util.function.Consumer;

/**
 * The way to containers. May be used by any number of threads.
 *
 * <p>The distribution, with the program that is the micro-VM, is found through the system property {@code runhv.home},
 * else through the environment variable {@code RUNHV_HOME}, else beside the jars. Root file systems that were made once
 * are kept in a store: the system property {@code runhv.store}, else {@code RUNHV_STORE}, else
 * {@code $XDG_DATA_HOME/runhv}, else {@code ~/.local/share/runhv}.
 */
public interface Runhv extends AutoCloseable {
    /**
     * Opens the runhv of this host.
     *
     * @throws RequestException when the implementation or the distribution is not found
     */
    static Runhv open() {
        return ServiceLoader.load(RunhvProvider.class, Runhv.class.getClassLoader())
                .findFirst()
                .orElseThrow(() -> new RequestException(
                        ErrorCode.NOT_FOUND,
                        "open runhv",
                        "The module dev.runhv.vmm is neither on the module path nor on the class path:"
                                + " add the jars of lib/java of the distribution",
                        null,
                        null))
                .open();
    }

    /**
     * Makes the image's root file system, unless the store has it, and starts a container of it. Returns when the
     * micro-VM's process runs; the container may still be on its way.
     *
     * @throws ImageException when the image cannot be used
     * @throws RequestException when the specification cannot be fulfilled
     * @throws HostException when the host fails
     * @throws ClosedException after {@link #close()}
     */
    default Container start(ContainerSpec spec) {
        return start(spec, event -> {});
    }

    /**
     * The same, and tells what happens.
     *
     * @param listener is called by several threads, one at a time; it should return soon, and must not throw
     */
    Container start(ContainerSpec spec, Consumer<? super ContainerEvent> listener);

    /** Closes the containers that are still open, which ends them. */
    @Override
    void close();
}
