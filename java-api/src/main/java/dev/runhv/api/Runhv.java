package dev.runhv.api;

import dev.runhv.api.spi.Configuration;
import dev.runhv.api.spi.RunhvProvider;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** The way to containers. May be used by any number of threads. Implemented by runhv; later versions can do more. */
public interface Runhv extends AutoCloseable {
    /**
     * Starts to say which runhv of this host is meant.
     *
     * @return with nothing said
     */
    static Builder builder() {
        return new Builder();
    }

    /**
     * Opens the runhv of this host: {@code builder().open()}.
     *
     * @return to be closed
     * @throws RequestException when the implementation or the distribution is not found
     */
    static Runhv open() {
        return builder().open();
    }

    /**
     * The images and their root file systems.
     *
     * @return the same each time
     */
    Images images();

    /**
     * Makes the image's root file system, unless the store has it, and a container of it, prepared up to the execution of
     * its program.
     *
     * @param spec what to run
     * @return to be started, and to be closed
     * @throws RequestException where the specification cannot be fulfilled: no such image, or a damaged one, or the name is
     *     taken
     * @throws HypervisorException where the engine that was asked for is not on this host
     * @throws HostException where the host fails
     * @throws GuestException where the guest does not come up
     * @throws ClosedException where this was closed, before or meanwhile
     * @throws InterruptedException where the thread is interrupted; what was half made is removed
     */
    default Container create(ContainerSpec spec) throws InterruptedException {
        return create(spec, event -> {});
    }

    /**
     * The same, and tells what happens, from here to the container's end.
     *
     * @param spec what to run
     * @param listener is called by several threads, one at a time; what it throws is logged
     * @return to be started, and to be closed
     * @throws RunhvException as {@link #create(ContainerSpec)}
     * @throws InterruptedException where the thread is interrupted; what was half made is removed
     */
    Container create(ContainerSpec spec, Consumer<? super ContainerEvent> listener) throws InterruptedException;

    /**
     * Creates and starts a container in one go. Returns when its program runs, or when the container has ended instead: see
     * {@link Container#waitFor()}.
     *
     * @param spec what to run
     * @return to be closed
     * @throws RunhvException as {@link #create(ContainerSpec)}
     * @throws InterruptedException where the thread is interrupted; what was half made is removed
     */
    default Container start(ContainerSpec spec) throws InterruptedException {
        return start(spec, event -> {});
    }

    /**
     * The same, and tells what happens, from here to the container's end.
     *
     * @param spec what to run
     * @param listener is called by several threads, one at a time; what it throws is logged
     * @return to be closed
     * @throws RunhvException as {@link #create(ContainerSpec)}
     * @throws InterruptedException where the thread is interrupted; what was half made is removed
     */
    Container start(ContainerSpec spec, Consumer<? super ContainerEvent> listener) throws InterruptedException;

    /**
     * Closes the containers that are still open, which ends them; containers and images that are still being made fail with
     * {@link ClosedException}.
     */
    @Override
    void close();

    /** Collects what is said about a runhv. Not for several threads. */
    final class Builder {
        private @Nullable Path home;
        private @Nullable Path store;
        private @Nullable Path root;
        private Engine engine = Engine.AUTO;
        private boolean imageService;

        private Builder() {}

        /**
         * The distribution, with the program that is the micro-VM.
         *
         * @param folder its root; where nothing is said the system property {@code runhv.home}, else the environment
         *     variable {@code RUNHV_HOME}, else where the jars are, else the native files among the jars: they are unpacked
         *     once, into the folder of the system property {@code runhv.natives}, else {@code $XDG_CACHE_HOME/runhv/natives},
         *     else {@code ~/.cache/runhv/natives}
         * @return this
         */
        public Builder home(Path folder) {
            home = Objects.requireNonNull(folder, "folder");
            return this;
        }

        /**
         * The store of root file systems that were made once.
         *
         * @param folder made where it is missing; where nothing is said the system property {@code runhv.store}, else
         *     {@code RUNHV_STORE}, else {@code $XDG_DATA_HOME/runhv}, else {@code ~/.local/share/runhv}
         * @return this
         */
        public Builder store(Path folder) {
            store = Objects.requireNonNull(folder, "folder");
            return this;
        }

        /**
         * Where the names and the states of running containers are; those of one root see each other.
         *
         * @param folder made where it is missing; where nothing is said {@code RUNHV_ROOT}, else
         *     {@code $XDG_RUNTIME_DIR/runhv}, else a folder of the user's own below the system's temporary one
         * @return this
         */
        public Builder root(Path folder) {
            root = Objects.requireNonNull(folder, "folder");
            return this;
        }

        /**
         * What executes guests.
         *
         * @param engine of containers that do not say; {@link Engine#AUTO} where nothing is said
         * @return this
         */
        public Builder engine(Engine engine) {
            this.engine = Objects.requireNonNull(engine, "engine");
            return this;
        }

        /**
         * Lets the image service that {@code runhv} commands of this user share do what {@link Images} has of pull, load, save
         * and import: with its memory and processor, and warm. It is started where there is none, and stays for ten minutes
         * after the last request. Where nothing is said, this JVM does it.
         *
         * @return this
         */
        public Builder imageService() {
            imageService = true;
            return this;
        }

        /**
         * Opens it.
         *
         * @return to be closed
         * @throws RequestException when the implementation or the distribution is not found
         * @throws UnsupportedException where the image service is asked for, and the distribution has no command
         */
        public Runhv open() {
            return ServiceLoader.load(RunhvProvider.class, Runhv.class.getClassLoader())
                    .findFirst()
                    .orElseThrow(() -> RunhvException.of(
                            ErrorCode.NOT_FOUND,
                            "open runhv",
                            "The module dev.runhv.vmm is neither on the module path nor on the class path:"
                                    + " add the dependency dev.runhv:runhv, or the jars of lib/java of the distribution",
                            null,
                            null))
                    .open(new Configuration(
                            Optional.ofNullable(home),
                            Optional.ofNullable(store),
                            Optional.ofNullable(root),
                            engine,
                            imageService));
        }
    }
}
