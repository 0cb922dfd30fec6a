package dev.runhv.api;

import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What an image says of itself (OCI image 1.1, config.md), and what it takes. Strings are as whoever built it wrote them:
 * nobody has checked them. Implemented by runhv; later versions tell more.
 */
public interface ImageDetails {
    /**
     * As {@link Image#id()}.
     *
     * @return {@code sha256:…}
     */
    String id();

    /**
     * All names in the store that mean it.
     *
     * @return at least one, as {@link Image#name()}
     */
    List<String> names();

    /**
     * What it was built for.
     *
     * @return {@code OS/ARCHITECTURE}; parts that it does not say are {@code (unsaid)}
     */
    String platform();

    /**
     * When it was built.
     *
     * @return empty where it does not say, or nothing that can be read
     */
    Optional<Instant> created();

    /**
     * The program that {@link #command()} is given to.
     *
     * @return empty: none
     */
    List<String> entrypoint();

    /**
     * The program, or the arguments of the {@link #entrypoint()}.
     *
     * @return empty: none
     */
    List<String> command();

    /**
     * The environment.
     *
     * @return {@code NAME=value}, in the image's order
     */
    List<String> environment();

    /**
     * The user of the program.
     *
     * @return empty: root
     */
    Optional<String> user();

    /**
     * The working directory of the program.
     *
     * @return empty: {@code /}
     */
    Optional<String> workingDirectory();

    /**
     * What asks the program to end.
     *
     * @return a signal's name or number; empty: {@code TERM}
     */
    Optional<String> stopSignal();

    /**
     * Ports at which the program listens.
     *
     * @return {@code 80/tcp} and the like
     */
    List<String> exposedPorts();

    /**
     * Where data is that should outlive the container.
     *
     * @return paths
     */
    List<String> volumes();

    /**
     * What else whoever built it has to say.
     *
     * @return values by their names
     */
    Map<String, String> labels();

    /**
     * The layers.
     *
     * @return lowest first
     */
    List<ImageLayer> layers();

    /**
     * What the image takes in the store: blobs, layers and tree, what it shares with others included.
     *
     * @return in bytes
     */
    long bytes();

    /**
     * The configuration as it is stored.
     *
     * @return JSON
     */
    String configuration();
}
