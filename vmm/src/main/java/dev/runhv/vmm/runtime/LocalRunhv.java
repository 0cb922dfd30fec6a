package dev.runhv.vmm.runtime;

import dev.runhv.api.Container;
import dev.runhv.api.ContainerEvent;
import dev.runhv.api.ContainerSpec;
import dev.runhv.api.Engine;
import dev.runhv.api.Images;
import dev.runhv.api.Runhv;
import dev.runhv.api.StartStage;
import dev.runhv.vmm.content.StoreLease;
import dev.runhv.vmm.jfr.StartEvents;
import dev.runhv.vmm.process.ContainerRoot;
import dev.runhv.vmm.process.Distribution;
import dev.runhv.vmm.process.Launch;
import dev.runhv.vmm.rootfs.PreparedRootfs;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.store.ImageService;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** Containers whose micro-VMs are children of this JVM, and end with it. */
final class LocalRunhv implements Runhv {
    /** For those who are still making something when this is closed. */
    private static final long MAKING_NANOS = TimeUnit.SECONDS.toNanos(10);

    private final Distribution distribution;
    private final Path store;
    private final ContainerRoot root;
    private final Engine engine;
    private final Thread atExit = new Thread(this::closeAll, "runhv-exit");
    private final Images images;
    private final Object lock = new Object();
    // All guarded by the lock.
    private final Set<LocalContainer> containers = new HashSet<>();
    private final Set<Making> makings = new HashSet<>();
    private boolean closed;

    LocalRunhv(Distribution distribution, Path store, ContainerRoot root, Engine engine, ImageService service) {
        this.distribution = distribution;
        this.store = store;
        this.root = root;
        this.engine = engine;
        this.images = new LocalImages(this, store, service);
        Runtime.getRuntime().addShutdownHook(atExit);
    }

    @Override
    public Images images() {
        return images;
    }

    /** Also what a person should know of the image. */
    private record Told(Consumer<? super ContainerEvent> listener, String image) implements RootfsProgress {
        @Override
        public void read(int layer, int layers, long bytes, long total) {
            listener.accept(new ContainerEvent.ImageProgress(layer, layers, bytes, total));
        }

        @Override
        public void warn(String text) {
            listener.accept(new ContainerEvent.Warning("use image " + image, text));
        }
    }

    @Override
    public Container create(ContainerSpec spec, Consumer<? super ContainerEvent> listener) throws InterruptedException {
        return make(spec, listener, true);
    }

    @Override
    public Container start(ContainerSpec spec, Consumer<? super ContainerEvent> listener) throws InterruptedException {
        // In one go: the agent need not stop between preparing and executing.
        return make(spec, listener, false);
    }

    private Container make(ContainerSpec spec, Consumer<? super ContainerEvent> listener, boolean stops)
            throws InterruptedException {
        String id =
                spec.name().orElseGet(() -> "c-" + UUID.randomUUID().toString().substring(0, 13));
        return making("create container " + id, () -> {
            WorkFolder folder = WorkFolder.create(id);
            LocalContainer container = null;
            boolean done = false;
            // Until the micro-VM has all files open.
            try (StoreLease _ = StoreLease.take(store)) {
                container = spawn(spec, prepare(spec, id, folder, listener), id, stops, listener);
                if (stops) {
                    container.awaitCreated();
                } else {
                    container.awaitStarted();
                }
                done = true;
                return container;
            } finally {
                if (!done && container != null) {
                    container.close();
                } else if (!done) {
                    folder.remove();
                }
            }
        });
    }

    private LocalContainer.Prepared prepare(
            ContainerSpec spec, String id, WorkFolder folder, Consumer<? super ContainerEvent> listener)
            throws InterruptedException {
        Map<StartStage, Duration> stages = new LinkedHashMap<>();
        StartEvents events = new StartEvents(id, false);
        BundleRequest request = request(spec, id, folder.bundle());
        long begun = System.nanoTime();
        PreparedRootfs rootfs = BundlePreparation.rootfs(spec.image(), store, new Told(listener, spec.image()));
        long there = System.nanoTime();
        ProcessPlan plan = BundlePreparation.bundle(request, rootfs);
        long done = System.nanoTime();
        stages.put(StartStage.IMAGE, Duration.ofNanos(there - begun));
        stages.put(StartStage.BUNDLE, Duration.ofNanos(done - there));
        listener.accept(new ContainerEvent.Prepared(Duration.ofNanos(done - begun)));
        return new LocalContainer.Prepared(
                folder, new ExecPlan(plan, rootfs), spec.process().terminal(), stages, events);
    }

    private LocalContainer spawn(
            ContainerSpec spec,
            LocalContainer.Prepared prepared,
            String id,
            boolean stops,
            Consumer<? super ContainerEvent> listener) {
        Launch launch = new Launch(
                distribution,
                root,
                id,
                prepared.folder().bundle(),
                prepared.folder().path(),
                stops,
                spec.stdin(),
                spec.stdout(),
                spec.stderr());
        // Under the lock, so that close() cannot miss a process that is just being made.
        synchronized (lock) {
            checkOpen("create container " + id);
            LocalContainer container = new LocalContainer(launch, prepared, listener, this::forget);
            containers.add(container);
            return container;
        }
    }

    private BundleRequest request(ContainerSpec spec, String id, Path bundle) {
        ContainerSpec.Process process = spec.process();
        List<String> environment = process.environment().entrySet().stream()
                .map(variable -> variable.getKey() + "=" + variable.getValue())
                .toList();
        Engine chosen = spec.engine() == Engine.AUTO ? engine : spec.engine();
        return new BundleRequest(
                id,
                spec.image(),
                store,
                bundle,
                environment,
                process.workingDirectory().orElse(""),
                process.user().orElse(""),
                process.entrypoint().orElse(null),
                process.command().orElse(List.of()),
                spec.hostname().orElse(""),
                spec.resources().memoryBytes().orElse(0),
                spec.resources().cpus().orElse(0),
                spec.resources().scratchBytes().orElse(0),
                spec.kernel().map(Path::toAbsolutePath).orElse(null),
                null,
                spec.stdin(),
                chosen == Engine.AUTO ? "" : chosen.optionName(),
                spec.sysctls(),
                spec.annotations(),
                spec.process().terminal().orElse(null));
    }

    interface Work<T> {
        T run() throws InterruptedException;
    }

    /** Somebody who makes something, until it is made. Guarded by the lock. */
    private static final class Making {
        final Thread thread = Thread.currentThread();
        boolean cancelled;
    }

    /** Does what {@link #close()} ends early. */
    <T> T making(String operation, Work<T> work) throws InterruptedException {
        Making making = new Making();
        synchronized (lock) {
            checkOpen(operation);
            makings.add(making);
        }
        InterruptedException interrupted;
        try {
            return work.run();
        } catch (InterruptedException e) {
            interrupted = e;
        } finally {
            synchronized (lock) {
                makings.remove(making);
                lock.notifyAll();
                if (making.cancelled) {
                    Thread.interrupted(); // it was for the work
                }
            }
        }
        if (making.cancelled) {
            throw Errors.closed(operation, "Runhv was closed meanwhile", interrupted);
        }
        throw interrupted;
    }

    void checkOpen(String operation) {
        synchronized (lock) {
            if (closed) {
                throw Errors.closed(operation, "Runhv was closed", null);
            }
        }
    }

    private void forget(LocalContainer container) {
        synchronized (lock) {
            containers.remove(container);
        }
    }

    @Override
    public void close() {
        closeAll();
        try {
            Runtime.getRuntime().removeShutdownHook(atExit);
        } catch (IllegalStateException e) {
            // The JVM is ending: the hook runs, or has run.
        }
    }

    private void closeAll() {
        List<LocalContainer> open;
        synchronized (lock) {
            closed = true;
            for (Making making : makings) {
                if (making.thread != Thread.currentThread()) {
                    making.cancelled = true;
                    making.thread.interrupt();
                }
            }
            open = List.copyOf(containers);
        }
        // At once: each may take its time to end.
        CompletableFuture.allOf(open.stream()
                        .map(container -> CompletableFuture.runAsync(
                                container::close, task -> Thread.ofVirtual().start(task)))
                        .toArray(CompletableFuture[]::new))
                .join();
        awaitMakings();
    }

    private void awaitMakings() {
        long deadline = System.nanoTime() + MAKING_NANOS;
        boolean interrupted = false;
        synchronized (lock) {
            while (makings.stream().anyMatch(making -> making.cancelled)) {
                long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
                if (left <= 0) {
                    break;
                }
                try {
                    lock.wait(left);
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
