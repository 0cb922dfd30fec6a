package dev.runhv.vmm.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.image.Platform;
import dev.runhv.vmm.image.PullProgress;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.service.ClientListener;
import dev.runhv.vmm.service.ImageServer;
import dev.runhv.vmm.service.ServedImages;
import dev.runhv.vmm.service.ServicePlace;
import dev.runhv.vmm.service.TestListener;
import dev.runhv.vmm.store.ImageService;
import dev.runhv.vmm.store.ImageStore;
import dev.runhv.vmm.testing.ImageBuilder;
import dev.runhv.vmm.testing.LoopbackRegistry;
import dev.runhv.vmm.testing.TarBuilder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** A program's images by an image service in this process, which answers as the real one does. */
@DisabledOnOs(
        value = OS.WINDOWS,
        disabledReason = "the JVM ended in native code once under Wine, with these among its tests")
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ServedImagesTest {
    private static final byte[] TAR = new TarBuilder().file("file", "content").bytes();

    @TempDir
    Path folder;

    private volatile LoopbackRegistry.Answer answer = exchange -> false;
    private LoopbackRegistry registry;
    private ImageBuilder image;
    private Path above;
    private ServicePlace place;
    private ClientListener listener;
    private FutureTask<Void> served;
    private ImageService images;
    private Reference name;

    @BeforeEach
    void serve() throws Exception {
        registry = new LoopbackRegistry(exchange -> answer.answer(exchange));
        image = new ImageBuilder().gzipLayer(TAR);
        registry.serve("latest", image);
        name = Reference.parse(registry.authority() + "/web");
        above = TestListener.folderAbove();
        Path own = above.resolve("s");
        place = new ServicePlace(own.resolve("socket"), "a build,\nhere");
        listener = TestListener.in(own);
        ImageServer server = new ImageServer(listener, place.identity(), Duration.ofHours(1), Main::answer);
        served = new FutureTask<>(() -> {
            server.serve();
            return null;
        });
        Thread.ofPlatform().start(served);
        images = new ServedImages(store(), () -> place);
    }

    @AfterEach
    void stop() throws Exception {
        listener.close();
        served.get();
        registry.close();
        Files.delete(above);
    }

    private Path store() {
        return folder.resolve("store");
    }

    private ImageService.Pulled pull(PullProgress progress) throws InterruptedException {
        return images.pull(name, Platform.HERE, progress, RootfsProgress.NONE);
    }

    private List<String> names() {
        return new ImageStore(store())
                .list().images().stream().map(found -> found.name().toString()).toList();
    }

    private static void assertFails(ErrorCode code, ThrowingCallable call) {
        assertThatThrownBy(call)
                .isInstanceOfSatisfying(
                        RunhvException.class, e -> assertThat(e.code()).isEqualTo(code));
    }

    private static final class Told implements PullProgress {
        private final List<String> events = new CopyOnWriteArrayList<>();

        @Override
        public void resolved(Digest resolved, int layers, long totalBytes) {
            events.add("%s has %d".formatted(resolved, layers));
        }

        @Override
        public void fetched(Digest layer, long bytes, long totalBytes) {
            if (bytes == totalBytes) {
                events.add("%s has come, %d".formatted(layer, totalBytes));
            }
        }

        @Override
        public void ready(Digest layer, long totalBytes) {
            events.add("%s is there, %d".formatted(layer, totalBytes));
        }
    }

    @Test
    void aPullTellsHowItGoesOnAndWhatCame() throws Exception {
        Told told = new Told();

        ImageService.Pulled pulled = pull(told);

        int bytes = ImageBuilder.gzip(TAR).length;
        Digest manifest = Digest.sha256(ImageBuilder.bytes(image.manifestText()));
        Digest layer = Digest.sha256(ImageBuilder.gzip(TAR));
        assertThat(pulled).isEqualTo(new ImageService.Pulled(manifest, 1, bytes));
        assertThat(told.events)
                .containsExactly(manifest + " has 1", layer + " has come, " + bytes, layer + " is there, " + bytes);
        assertThat(names()).containsExactly(name.toString());
    }

    @Test
    void aPushTellsHowItGoesAndWhatTheRegistryHasNow() throws Exception {
        pull(PullProgress.NONE);
        answer = LoopbackRegistry::takesWhatIsPushed;
        Told told = new Told();

        ImageService.Pushed pushed = images.push(name, Optional.empty(), told, RootfsProgress.NONE);

        int bytes = ImageBuilder.gzip(TAR).length;
        Digest manifest = Digest.sha256(ImageBuilder.bytes(image.manifestText()));
        assertThat(pushed).isEqualTo(new ImageService.Pushed(manifest, 1, bytes));
        assertThat(told.events).contains(Digest.sha256(ImageBuilder.gzip(TAR)) + " has come, " + bytes);
    }

    @Test
    void archivesGoAndComeByIt() throws Exception {
        pull(PullProgress.NONE);
        Path archive = folder.resolve("images.tar");
        Path tar = Files.write(folder.resolve("root.tar"), TAR);
        Reference mine = Reference.parse("mine:1");
        Told told = new Told();

        images.save(List.of(name), Optional.empty(), archive);
        assertThat(images.load(archive, Optional.empty(), told)).containsExactly(name);
        assertThat(images.load(archive, Optional.of(mine), PullProgress.NONE)).containsExactly(mine);
        Reference imported = Reference.parse("mine:2");
        Digest id = images.importTar(tar, imported, List.of("CMD /init", "USER web"), "as \"said\"");

        assertThat(told.events).singleElement().asString().contains(" is there, ");
        var found = new ImageStore(store()).find("mine:2").getFirst();
        assertThat(found.id()).isEqualTo(id);
        assertThat(found.readable().config().user()).isEqualTo("web");
        assertThat(new String(found.readable().configText(), StandardCharsets.UTF_8))
                .contains("as \\\"said\\\"");
    }

    @Test
    void whatFailsHasItsTypeAndWords() {
        answer = exchange -> LoopbackRegistry.send(exchange, 404, new byte[0]);
        assertThatThrownBy(() -> pull(PullProgress.NONE))
                .isInstanceOfSatisfying(RunhvException.class, e -> {
                    assertThat(e.code()).isEqualTo(ErrorCode.NOT_FOUND);
                    assertThat(e.operation()).contains(name.toString());
                })
                .hasMessageContaining("does not have it");
        assertFails(
                ErrorCode.NOT_FOUND,
                () -> images.load(folder.resolve("none.tar"), Optional.empty(), PullProgress.NONE));
        assertFails(
                ErrorCode.UNSUPPORTED, () -> images.load(Path.of("/dev/fd/0"), Optional.empty(), PullProgress.NONE));
    }

    private CountDownLatch stallsAtTheLayer(CountDownLatch over) {
        CountDownLatch begun = new CountDownLatch(1);
        String layer = "/" + Digest.sha256(ImageBuilder.gzip(TAR));
        answer = exchange -> {
            if (!exchange.getRequestURI().getPath().endsWith(layer)) {
                return false;
            }
            begun.countDown();
            try {
                over.await();
            } catch (InterruptedException e) {
                throw new IOException(e);
            }
            return false;
        };
        return begun;
    }

    @Test
    void anInterruptCancelsItThereBeforeItIsThrown() throws Exception {
        CountDownLatch over = new CountDownLatch(1);
        CountDownLatch begun = stallsAtTheLayer(over);
        List<Throwable> thrown = new CopyOnWriteArrayList<>();
        Thread puller = Thread.ofVirtual().start(() -> {
            try {
                pull(PullProgress.NONE);
            } catch (InterruptedException | RuntimeException e) {
                thrown.add(e);
            }
        });
        begun.await();
        puller.interrupt();
        puller.join();
        assertThat(thrown).singleElement().isInstanceOf(InterruptedException.class);
        // Nobody holds a lock of the store any more: what was stalled would hold it, and this would wait.
        new ImageStore(store()).prune(false);
        assertThat(names()).isEmpty();
        over.countDown();
        answer = exchange -> false;
        assertThat(pull(PullProgress.NONE).layers()).isEqualTo(1);
    }

    @Test
    void whatAListenerThrowsCancelsItAndIsThrown() {
        IllegalStateException enough = new IllegalStateException("enough");
        assertThatThrownBy(() -> pull(new PullProgress() {
                    @Override
                    public void resolved(Digest resolved, int layers, long totalBytes) {
                        throw enough;
                    }

                    @Override
                    public void fetched(Digest layer, long bytes, long totalBytes) {}
                }))
                .isSameAs(enough);
    }

    @Test
    void aServiceThatIsNotThereOrAnotherBuildsIsOneSentence() {
        place = new ServicePlace(place.socket(), "another build");
        assertFails(ErrorCode.HOST_FAILED, () -> pull(PullProgress.NONE));
        place = new ServicePlace(above.resolve("none"), "a build");
        assertFails(ErrorCode.HOST_FAILED, () -> pull(PullProgress.NONE));
    }
}
