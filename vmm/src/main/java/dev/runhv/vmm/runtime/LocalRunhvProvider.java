package dev.runhv.vmm.runtime;

import dev.runhv.api.Runhv;
import dev.runhv.api.spi.Configuration;
import dev.runhv.api.spi.RunhvProvider;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.process.ContainerRoot;
import dev.runhv.vmm.process.Distribution;
import dev.runhv.vmm.process.LocalFolders;
import dev.runhv.vmm.service.ServedImages;
import dev.runhv.vmm.service.ServicePlace;
import dev.runhv.vmm.store.ImageService;
import dev.runhv.vmm.store.LocalImageService;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** Opens the runhv of this host. */
public final class LocalRunhvProvider implements RunhvProvider {
    @Override
    public Runhv open(Configuration configuration) {
        Distribution distribution = configuration.home().map(Distribution::at).orElseGet(Distribution::find);
        Path store = configuration
                .store()
                .map(Path::toAbsolutePath)
                .orElseGet(() -> store(System.getProperty("runhv.store", ""), System.getenv()));
        return new LocalRunhv(
                distribution,
                store,
                configuration
                        .root()
                        .map(path -> new ContainerRoot(path.toAbsolutePath()))
                        .orElseGet(() -> ContainerRoot.find(System.getenv())),
                configuration.engine(),
                configuration.imageService() ? served(distribution, store) : new LocalImageService(store));
    }

    private static ImageService served(Distribution distribution, Path store) {
        if (!Files.isExecutable(distribution.command())) {
            throw Failures.unsupported(
                    "use the image service",
                    "There is no program " + distribution.command() + ": say home() with a whole distribution, or"
                            + " leave imageService() out");
        }
        return new ServedImages(store, () -> ServicePlace.started(distribution));
    }

    static Path store(String property, Map<String, String> environment) {
        String named = property.isEmpty() ? environment.getOrDefault("RUNHV_STORE", "") : property;
        if (!named.isEmpty()) {
            return Path.of(named).toAbsolutePath();
        }
        if (LocalFolders.USED) {
            return LocalFolders.runhv(environment).resolve("data");
        }
        String data = environment.getOrDefault("XDG_DATA_HOME", "");
        // XDG base directories 0.8: a relative path is invalid and to be ignored.
        if (!data.isEmpty() && Path.of(data).isAbsolute()) {
            return Path.of(data, "runhv");
        }
        return Path.of(System.getProperty("user.home"), ".local", "share", "runhv");
    }
}
