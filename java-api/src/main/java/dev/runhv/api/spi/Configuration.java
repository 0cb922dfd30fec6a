package dev.runhv.api.spi;

import dev.runhv.api.Engine;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What was said to {@link dev.runhv.api.Runhv.Builder}.
 *
 * @param home of the distribution
 * @param store of root file systems
 * @param root of running containers
 * @param engine of containers that do not say
 * @param imageService whether images come and go by the user's image service
 */
public record Configuration(
        Optional<Path> home, Optional<Path> store, Optional<Path> root, Engine engine, boolean imageService) {}
