package dev.runhv.api;

import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** What to pull. Made by {@link #image(String)}; never changes. */
public final class PullSpec {
    private final String name;
    private final @Nullable String platform;

    private PullSpec(Builder builder) {
        name = builder.name;
        platform = builder.platform;
    }

    /**
     * Starts to describe what to pull.
     *
     * @param name {@code [REGISTRY/]NAME[:TAG]} or {@code [REGISTRY/]NAME@DIGEST}, with docker's defaults
     * @return with nothing else said
     */
    public static Builder image(String name) {
        return new Builder(Objects.requireNonNull(name, "name"));
    }

    /**
     * The name of the image.
     *
     * @return as it was given
     */
    public String name() {
        return name;
    }

    /**
     * For what it is.
     *
     * @return empty: for what runs here, linux/amd64
     */
    public Optional<String> platform() {
        return Optional.ofNullable(platform);
    }

    /** Collects what is said about a pull. Not for several threads. */
    public static final class Builder {
        private final String name;
        private @Nullable String platform;

        private Builder(String name) {
            this.name = name;
        }

        /**
         * Of an image for several platforms, another one. It is kept to be saved; it does not run here.
         *
         * @param platform {@code OS/ARCHITECTURE[/VARIANT]}
         * @return this
         */
        public Builder platform(String platform) {
            this.platform = Objects.requireNonNull(platform, "platform");
            return this;
        }

        /**
         * Ends the description.
         *
         * @return what was said
         */
        public PullSpec build() {
            return new PullSpec(this);
        }
    }
}
