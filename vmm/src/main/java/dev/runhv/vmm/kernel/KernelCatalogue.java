package dev.runhv.vmm.kernel;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.HeldFiles;
import dev.runhv.vmm.process.Distribution;
import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The kernels of one store and those of the distribution. A kernel is a folder {@code kernels/NAME} with {@code kernel},
 * {@code kernel.json} and, where it needs any, {@code modules.cpio}; it appears and goes as a whole. Any number of
 * processes may use one catalogue.
 */
public final class KernelCatalogue {
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}");
    private static final String RECORD = "kernel.json";
    private static final String KERNEL = "kernel";
    private static final String MODULES = "modules.cpio";
    /** Nobody works on one kernel for longer. */
    private static final Duration ABANDONED = Duration.ofHours(1);

    private final Path folder;
    private final Distribution distribution;

    /** @param store the folder above {@code kernels}; made when it is needed */
    public KernelCatalogue(Path store, Distribution distribution) {
        this.folder = store.resolve("kernels");
        this.distribution = distribution;
    }

    /** All kernels, the distribution's first. A kernel of the distribution is booted when nobody has done so yet. */
    public List<Kernel> list() throws InterruptedException {
        List<Kernel> kernels = new ArrayList<>();
        try {
            for (String name : ownNames()) {
                kernels.add(own(name));
            }
            for (Path entry : entries()) {
                kernels.add(record(entry));
            }
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of("list the kernels", e);
        }
        return kernels;
    }

    /**
     * Adds a kernel after it has run a program.
     *
     * @param image a Debian package, a bzImage or a vmlinux
     * @param modules the folder of its modules; null where it needs none or the image brings them
     */
    public Kernel add(String name, Path image, Path modules) throws InterruptedException {
        String operation = "add kernel " + name;
        checkName(operation, name);
        Path target = folder.resolve(name);
        if (Files.exists(target)) {
            throw taken(operation, name);
        }
        Path work = null;
        try {
            work = workFolder(name);
            Path made = Files.createDirectory(work.resolve("made"));
            gather(operation, image, modules, work, made);
            Kernel kernel = boot(operation, name, image, made.resolve(KERNEL), made.resolve(MODULES), work);
            writeRecord(made.resolve(RECORD), kernel);
            move(operation, name, made, target);
            return kernel;
        } catch (IOException e) {
            Failures.throwIfInterrupted(e);
            throw Failures.of(operation, e);
        } finally {
            removeQuietly(work);
        }
    }

    /** Removes a kernel. Containers that run on it go on. */
    public void remove(String name) {
        String operation = "remove kernel " + name;
        checkName(operation, name);
        Path work = null;
        try {
            work = workFolder(name);
            Files.move(folder.resolve(name), work.resolve("gone"), StandardCopyOption.ATOMIC_MOVE);
        } catch (NoSuchFileException e) {
            throw request(ErrorCode.NOT_FOUND, operation, "The catalogue has none of this name");
        } catch (IOException e) {
            throw Failures.of(operation, e);
        } finally {
            removeQuietly(work);
        }
    }

    private void checkName(String operation, String name) {
        if (!NAME.matcher(name).matches()) {
            throw request(
                    ErrorCode.INVALID_ARGUMENT,
                    operation,
                    "1 to 64 of A-Z a-z 0-9 _ . - are possible, first a letter, digit or _");
        }
        if (Files.exists(distribution.kernel(name))) {
            throw request(ErrorCode.CONFLICT, operation, "This is the name of one of runhv's own kernels");
        }
    }

    private static RunhvException taken(String operation, String name) {
        return request(
                ErrorCode.CONFLICT, operation, "The name is taken; `runhv kernels remove " + name + "` frees it");
    }

    private static RunhvException request(ErrorCode code, String operation, String detail) {
        return RunhvException.of(code, operation, detail, null, null);
    }

    private void gather(String operation, Path image, Path modules, Path work, Path made) throws IOException {
        if (!Files.isRegularFile(image)) {
            throw request(ErrorCode.NOT_FOUND, operation, "There is no file " + image);
        }
        Path kernel = made.resolve(KERNEL);
        try (FileChannel spool = FileChannel.open(
                work.resolve("spool"),
                StandardOpenOption.CREATE_NEW,
                StandardOpenOption.READ,
                StandardOpenOption.WRITE)) {
            KernelFiles files = null;
            if (DebianPackage.is(image)) {
                if (modules != null) {
                    throw request(ErrorCode.INVALID_ARGUMENT, operation, "A package brings its modules itself");
                }
                files = DebianPackage.read(image, kernel, spool);
            } else {
                copyKernel(image, kernel);
                files = modules == null ? null : ModuleFolder.read(modules);
            }
            Map<String, byte[]> selected = files == null ? Map.of() : ModuleSelection.of(files);
            if (!selected.isEmpty()) {
                ModuleArchive.write(made.resolve(MODULES), selected);
            }
        } catch (CorruptInputException | EOFException e) {
            throw Failures.of(operation + " from " + image, e);
        }
        for (Path file : List.of(kernel, made.resolve(MODULES))) {
            force(file);
        }
    }

    private static void copyKernel(Path image, Path kernel) throws IOException {
        if (Files.size(image) > KernelLimits.KERNEL_BYTES) {
            throw new CorruptInputException("it has more than %d bytes".formatted(KernelLimits.KERNEL_BYTES));
        }
        Files.copy(image, kernel);
    }

    private Kernel boot(String operation, String name, Path image, Path kernel, Path modules, Path work)
            throws IOException, InterruptedException {
        boolean hasModules = Files.exists(modules);
        BootProbe.Result result =
                new BootProbe(distribution).boot(operation, work, image, kernel, hasModules ? modules : null);
        return new Kernel(
                name,
                result.release(),
                Digest.sha256(kernel).toString(),
                Files.size(kernel),
                hasModules ? Files.size(modules) : 0,
                result.boot());
    }

    private static void move(String operation, String name, Path made, Path target) throws IOException {
        try {
            Files.move(made, target, StandardCopyOption.ATOMIC_MOVE);
        } catch (DirectoryNotEmptyException | FileAlreadyExistsException e) {
            throw taken(operation, name);
        } catch (FileSystemException e) {
            // Another process was faster: not every system has a word of its own for that.
            if (Files.exists(target)) {
                throw taken(operation, name);
            }
            throw e;
        }
    }

    // ---- the distribution's own kernels

    private List<String> ownNames() throws IOException {
        List<String> names = new ArrayList<>();
        String prefix = distribution.kernel("").getFileName().toString();
        try (DirectoryStream<Path> files =
                Files.newDirectoryStream(distribution.kernel("").getParent(), prefix + "*")) {
            files.forEach(file -> names.add(file.getFileName().toString().substring(prefix.length())));
        }
        names.sort(Comparator.reverseOrder()); // minimal, which containers have by default, before container
        return names;
    }

    /** From the record of the last time, unless the distribution has another kernel since. */
    private Kernel own(String name) throws IOException, InterruptedException {
        Path file = distribution.kernel(name);
        Path kept = folder.resolve("." + name + ".json");
        if (Files.exists(kept)) {
            Kernel kernel = readOrNull(kept);
            if (kernel != null && kernel.digest().equals(Digest.sha256(file).toString())) {
                return kernel;
            }
        }
        Path work = workFolder(name);
        try {
            Kernel kernel = boot("boot kernel " + name, name, file, file, work.resolve(MODULES), work);
            Path unfinished = work.resolve(RECORD);
            writeRecord(unfinished, kernel);
            HeldFiles.replace(unfinished, kept);
            return kernel;
        } finally {
            removeQuietly(work);
        }
    }

    private static Kernel readOrNull(Path record) throws IOException {
        try {
            return KernelRecord.read(record);
        } catch (CorruptInputException e) {
            return null;
        }
    }

    // ---- the store

    private List<Path> entries() throws IOException {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (Stream<Path> entries = Files.list(folder)) {
            return entries.filter(entry ->
                            NAME.matcher(entry.getFileName().toString()).matches())
                    .sorted()
                    .toList();
        }
    }

    private static Kernel record(Path entry) throws IOException {
        try {
            return KernelRecord.read(entry.resolve(RECORD));
        } catch (CorruptInputException | NoSuchFileException e) {
            throw new CorruptInputException(
                    "the kernel %1$s is damaged; `runhv kernels remove %1$s` removes it".formatted(entry.getFileName()),
                    e);
        }
    }

    private static void writeRecord(Path file, Kernel kernel) throws IOException {
        try (OutputStream out = Files.newOutputStream(file);
                JsonGenerator json = new JsonFactory().createGenerator(out)) {
            KernelRecord.write(json, kernel);
        }
        force(file);
    }

    private static void force(Path file) throws IOException {
        if (Files.exists(file)) {
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                channel.force(true);
            }
        }
    }

    private Path workFolder(String name) throws IOException {
        Files.createDirectories(folder);
        sweep();
        return Files.createTempDirectory(folder, "." + name + ".");
    }

    /** What processes left that were killed at work. */
    private void sweep() throws IOException {
        Instant limit = Instant.now().minus(ABANDONED);
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, ".*")) {
            for (Path file : files) {
                if (Files.isDirectory(file)
                        && Files.getLastModifiedTime(file).toInstant().isBefore(limit)) {
                    removeQuietly(file);
                }
            }
        }
    }

    /** What resists is swept later. */
    private static void removeQuietly(Path path) {
        if (path == null) {
            return;
        }
        try (Stream<Path> files = Files.walk(path)) {
            for (Iterator<Path> each = files.sorted(Comparator.reverseOrder()).iterator(); each.hasNext(); ) {
                Files.deleteIfExists(each.next());
            }
        } catch (IOException | UncheckedIOException e) {
            return;
        }
    }
}
