package dev.runhv.vmm.cli;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.cli.RequestReader.Request;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.TemporaryFile;
import dev.runhv.vmm.image.ImageImport;
import dev.runhv.vmm.image.ImageSboms;
import dev.runhv.vmm.image.PacedProgress;
import dev.runhv.vmm.image.Platform;
import dev.runhv.vmm.image.PullProgress;
import dev.runhv.vmm.process.Distribution;
import dev.runhv.vmm.registry.Reference;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.store.Image;
import dev.runhv.vmm.store.ImageService;
import dev.runhv.vmm.store.ImageStore;
import dev.runhv.vmm.store.LocalImageService;
import dev.runhv.vmm.store.StoreCheck;
import dev.runhv.vmm.trust.DistributionCheck;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** Does what a verb of images asks for, and gives what is printed. How many arguments there are, the native side has seen to. */
final class ImageVerbs {
    private ImageVerbs() {}

    /** @param err for progress, and for what a person should know besides */
    static String output(Request.Image request, PrintStream err) throws IOException, InterruptedException {
        ImageStore store = new ImageStore(request.store());
        ImageService service = new LocalImageService(request.store());
        List<String> arguments = request.arguments();
        return switch (request.verb()) {
            case PULL -> pull(service, request, err);
            case PUSH -> push(store, service, request, err);
            case LOAD -> load(service, request, err);
            case SAVE -> save(store, service, request);
            case IMPORT -> imported(service, request);
            case IMAGES -> images(store, request, err);
            case RMI -> rmi(store, request, err);
            case TAG -> {
                store.tag(arguments.get(0), Reference.parse(arguments.get(1)));
                yield "";
            }
            case PRUNE -> prune(store, request.has("all"));
            case INSPECT -> new ImageDocuments(store).inspect(request);
            case HISTORY -> new ImageDocuments(store).history(request, InstantSource.system());
            case DF -> new ImageDocuments(store).df(request);
            case VERIFY -> verify(request, err);
            case SBOM -> sbom(store, request, err);
        };
    }

    private static String pull(ImageService service, Request.Image request, PrintStream err)
            throws IOException, InterruptedException {
        Reference name = Reference.parse(request.arguments().getFirst());
        ImageService.Pulled pulled = service.pull(
                name, platform(request).orElse(Platform.HERE), progress(request, err), warnings(request, err));
        return PullLines.result(request, name, pulled.digest(), pulled.layers(), pulled.bytes());
    }

    private static Optional<Platform> platform(Request.Image request) {
        return request.value("platform").map(Platform::parse);
    }

    private static RootfsProgress warnings(Request.Image request, PrintStream err) {
        if (request.has("records")) {
            return new ProgressRecords(err);
        }
        return request.has("quiet") ? RootfsProgress.NONE : new ProgressLines(err);
    }

    private static PullProgress progress(Request.Image request, PrintStream err) {
        if (request.has("records")) {
            return new PacedProgress(new ProgressRecords(err));
        }
        return request.has("quiet") ? PullProgress.NONE : new PullLines(err, request.progress());
    }

    private static String push(ImageStore store, ImageService service, Request.Image request, PrintStream err)
            throws IOException, InterruptedException {
        String text = request.arguments().getFirst();
        Reference name = store.onlyName("push image " + text, text);
        ImageService.Pushed pushed = service.push(
                name,
                platform(request),
                progress(request, err),
                // Quiet too: the name means less there than here.
                request.has("records") ? new ProgressRecords(err) : new ProgressLines(err));
        return PullLines.result(request, name, pushed.digest(), pushed.layers(), pushed.bytes());
    }

    private static String load(ImageService service, Request.Image request, PrintStream err)
            throws InterruptedException {
        Path archive = path(request, "input");
        Optional<Reference> name = request.value("name").map(Reference::parse);
        StringBuilder text = new StringBuilder();
        service.load(archive, name, progress(request, err))
                .forEach(loaded ->
                        text.append("Loaded image: ").append(loaded.familiar()).append('\n'));
        return text.toString();
    }

    private static String save(ImageStore store, ImageService service, Request.Image request)
            throws InterruptedException {
        ImageStore.Listing listing = store.list();
        List<Reference> names =
                request.arguments().stream().map(text -> name(listing, text)).toList();
        service.save(names, platform(request), path(request, "output"));
        return "";
    }

    /** That of what a user means; of what is not there, as a name. */
    private static Reference name(ImageStore.Listing listing, String text) {
        try {
            return listing.find(text).getFirst().name();
        } catch (RunhvException e) {
            if (e.code() == ErrorCode.NOT_FOUND) {
                return Reference.parse(text);
            }
            throw e;
        }
    }

    private static String imported(ImageService service, Request.Image request) throws InterruptedException {
        Reference name = Reference.parse(request.arguments().get(1));
        List<String> changes = request.options().getOrDefault("change", List.of());
        String comment = request.value("message").orElse(ImageImport.USUAL_COMMENT);
        Path tar = Path.of(request.arguments().getFirst());
        return service.importTar(tar, name, changes, comment) + "\n";
    }

    private static Path path(Request.Image request, String option) {
        return Path.of(request.value(option).orElseThrow());
    }

    private static String images(ImageStore store, Request.Image request, PrintStream err) throws IOException {
        ImageStore.Listing listing = store.list();
        if (listing.nameless() > 0) {
            err.println(("runhv: warning: the store has %d names of an older runhv, or damaged ones: a pull or run of a"
                            + " name takes it over, runhv prune removes the others")
                    .formatted(listing.nameless()));
        }
        return new ImageTexts(store, InstantSource.system()).list(listing.images(), request);
    }

    private static String rmi(ImageStore store, Request.Image request, PrintStream err) {
        ImageStore.Removed removed = store.remove(request.arguments(), request.has("force"));
        StringBuilder text = new StringBuilder();
        removed.untagged()
                .forEach(name ->
                        text.append("Untagged: ").append(name.familiar()).append('\n'));
        removed.deleted().forEach(id -> text.append("Deleted: ").append(id).append('\n'));
        if (removed.left()) {
            err.println("runhv: an image is being pulled or a container made: what had these names stays until"
                    + " runhv prune");
        }
        return text.toString();
    }

    private static String verify(Request.Image request, PrintStream err) throws InterruptedException {
        boolean repair = request.has("repair");
        Optional<Path> key = request.value("key").map(Path::of);
        if (request.has("distribution")) {
            if (repair) {
                throw Failures.invalid("verify", "--repair is for the store: install the distribution once more");
            }
            return verifyDistribution(key, err);
        }
        if (key.isPresent()) {
            throw Failures.invalid("verify", "--key is for --distribution");
        }
        StoreCheck.Result result = new StoreCheck(request.store()).verify(repair);
        int damaged = result.damages().size();
        result.damages().forEach(damage -> err.println("runhv: damaged: " + damage.what()));
        if (damaged > 0 && !repair) {
            throw Failures.corrupt(
                    "verify the store " + request.store(),
                    "%d damaged among %d names, blobs, layers and root file systems; runhv verify --repair removes them, and a pull or run has them anew"
                            .formatted(damaged, result.checked()));
        }
        return "%d names, blobs, layers and root file systems read%s\n"
                .formatted(result.checked(), damaged == 0 ? "" : ", %d damaged ones removed".formatted(damaged));
    }

    private static String verifyDistribution(Optional<Path> key, PrintStream err) {
        DistributionCheck.Result result =
                DistributionCheck.check(Distribution.find().home(), key);
        result.damages().forEach(damage -> err.println("runhv: damaged: " + damage));
        if (!result.damages().isEmpty()) {
            throw Failures.corrupt(
                    "verify the distribution " + result.home(),
                    "%d of its files are damaged: install it once more"
                            .formatted(result.damages().size()));
        }
        String signed = switch (result.signed()) {
            case NOT -> "unsigned";
            case UNKNOWN -> "signed, by whom --key FILE says";
            case BY_THE_KEY -> "signed by the key " + key.orElseThrow();
        };
        return "%d files are as they were built; %s\n".formatted(result.files(), signed);
    }

    private static String sbom(ImageStore store, Request.Image request, PrintStream err) throws InterruptedException {
        Image image = store.find(request.arguments().getFirst()).getFirst();
        List<ImageSboms.Sbom> found = ImageSboms.find(
                image.name(),
                image.readable(),
                request.value("type").map(text -> format(image.name(), text)),
                request.store());
        if (found.size() > 1) {
            err.println("runhv: " + image.name() + " has " + found.size() + " of them: the first one is written");
        }
        write(path(request, "output"), found.getFirst().document());
        return "";
    }

    /** As a whole, or not. */
    private static void write(Path file, byte[] content) {
        try (TemporaryFile temporary =
                TemporaryFile.create(file.getParent(), file.getFileName().toString())) {
            temporary.write(ByteBuffer.wrap(content));
            temporary.moveTo(file);
        } catch (IOException e) {
            throw Failures.of("write " + file, e);
        }
    }

    private static ImageSboms.Format format(Reference image, String text) {
        for (ImageSboms.Format format : ImageSboms.Format.values()) {
            if (format.name().toLowerCase(Locale.ROOT).equals(text)) {
                return format;
            }
        }
        throw Failures.invalid(
                "find an SBOM of image " + image, "--type: expected spdx or cyclonedx, not \"" + text + "\"");
    }

    private static String prune(ImageStore store, boolean all) throws InterruptedException {
        ImageStore.Pruned pruned = store.prune(all);
        StringBuilder text = new StringBuilder();
        pruned.untagged()
                .forEach(name ->
                        text.append("Untagged: ").append(name.familiar()).append('\n'));
        return text + "Total reclaimed space: " + ImageTexts.size(pruned.bytes()) + "\n";
    }
}
