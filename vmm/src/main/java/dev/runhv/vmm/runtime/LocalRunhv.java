package dev.runhv.vmm.runtime;

import dev.runhv.api.ClosedException;
import dev.runhv.api.Container;
import dev.runhv.api.ContainerEvent;
import dev.runhv.api.ContainerSpec;
import dev.runhv.api.Engine;
import dev.runhv.api.Runhv;
import dev.runhv.vmm.process.Distribution;
import dev.runhv.vmm.process.VmmProcess;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CancellationException;
import java.util.function.Consumer;

/** Containers whose micro-VMs are children of this JVM, and end with it. */
final class LocalRunhv implements Runhv {
    private final Distribution distribution;
    private final Path store;
    private final Thread atExit = new Thread(this::closeContainers, "runhv-exit");
    // Guarded by itself, as is `closed`.
    private final Set<LocalContainer> containers = new HashSet<>();
    private boolean closed;

    LocalRunhv(Distribution distribution, Path store) {
        this.distribution = distribution;
        this.store = store;
        Runtime.getRuntime().addShutdownHook(atExit);
    }

    @Override
    public Container start(ContainerSpec spec, Consumer<? super ContainerEvent> listener) {
        long begun = System.nanoTime();
        String id = spec.name().isEmpty() ? "c-" + UUID.randomUUID().toString().substring(0, 13) : spec.name();
        checkOpen(id);
        WorkFolder folder = WorkFolder.create(id);
        LocalContainer container = null;
        boolean started = false;
        try {
            BundlePreparation.prepare(
                    request(spec, id, folder.bundle()),
                    (layer, layers, bytes, total) ->
                            listener.accept(new ContainerEvent.ImageProgress(layer, layers, bytes, total)));
            listener.accept(new ContainerEvent.Prepared(Duration.ofNanos(System.nanoTime() - begun)));
            container = spawn(id, folder);
            if (!spec.stdin()) {
                container.endInput();
            }
            listener.accept(new ContainerEvent.Started(container.pid()));
            container.watch(listener);
            started = true;
            return container;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new CancellationException("The start of container " + id + " was interrupted");
        } finally {
            if (!started && container != null) {
                container.close();
            } else if (!started) {
                folder.remove();
            }
        }
    }

    private LocalContainer spawn(String id, WorkFolder folder) {
        // Under the lock, so that close() cannot miss a process that is just being made.
        synchronized (containers) {
            checkOpen(id);
            VmmProcess process = VmmProcess.spawn(distribution, id, folder.bundle(), folder.timings());
            LocalContainer container = new LocalContainer(id, process, folder, this::forget);
            containers.add(container);
            return container;
        }
    }

    private BundleRequest request(ContainerSpec spec, String id, Path bundle) {
        List<String> environment = spec.environment().entrySet().stream()
                .map(variable -> variable.getKey() + "=" + variable.getValue())
                .toList();
        return new BundleRequest(
                id,
                spec.image(),
                store,
                bundle,
                environment,
                spec.workingDirectory(),
                spec.user(),
                spec.entrypoint(),
                spec.command(),
                spec.hostname(),
                spec.memoryBytes(),
                spec.cpus(),
                spec.scratchBytes(),
                spec.kernel() == null ? null : spec.kernel().toAbsolutePath(),
                null,
                spec.stdin(),
                spec.engine() == Engine.AUTO ? "" : spec.engine().optionName(),
                Map.of());
    }

    private void checkOpen(String id) {
        synchronized (containers) {
            if (closed) {
                throw new ClosedException("start container " + id, "Runhv was closed", null);
            }
        }
    }

    private void forget(LocalContainer container) {
        synchronized (containers) {
            containers.remove(container);
        }
    }

    @Override
    public void close() {
        closeContainers();
        try {
            Runtime.getRuntime().removeShutdownHook(atExit);
        } catch (IllegalStateException e) {
            // The JVM is ending: the hook runs, or has run.
        }
    }

    private void closeContainers() {
        List<LocalContainer> open;
        synchronized (containers) {
            closed = true;
            open = List.copyOf(containers);
        }
        open.forEach(LocalContainer::close);
    }
}
