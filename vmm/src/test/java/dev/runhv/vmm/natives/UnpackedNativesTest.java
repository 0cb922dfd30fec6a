package dev.runhv.vmm.natives;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.runhv.api.HostException;
import dev.runhv.api.RequestException;
import dev.runhv.api.spi.NativeFiles;
import dev.runhv.vmm.content.Digest;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

@DisabledOnOs(value = OS.WINDOWS, disabledReason = "no jar holds native files for Windows")
class UnpackedNativesTest {
    private static final String PLATFORM = "linux-x86_64";

    @TempDir
    private Path cache;

    private final Jar program = new Jar("program").with("bin/runhv-vmm", "a program");
    private final Jar kernel = new Jar("kernel").with("share/runhv/vmlinux-minimal", "a kernel");

    /** A jar of native files, in memory. */
    private static final class Jar implements NativeFiles {
        private final String name;
        private final Map<String, String> files = new TreeMap<>();
        private final AtomicInteger opened = new AtomicInteger();
        private String list = "";

        Jar(String name) {
            this.name = name;
        }

        Jar with(String path, String content) {
            files.put(path, content);
            list += "%s  %s\n"
                    .formatted(
                            Digest.sha256(content.getBytes(StandardCharsets.UTF_8))
                                    .hex(),
                            path);
            return this;
        }

        Jar withList(String other) {
            list = other;
            return this;
        }

        @Override
        public boolean isFor(String platform) {
            return platform.equals(PLATFORM);
        }

        @Override
        public String folder() {
            return "META-INF/runhv/" + name;
        }

        @Override
        public InputStream open(String path) throws IOException {
            String content = path.equals(LIST) ? list : files.get(path);
            if (content == null) {
                throw new NoSuchFileException(path);
            }
            if (!path.equals(LIST)) {
                opened.incrementAndGet();
            }
            return new ByteArrayInputStream(content.getBytes(StandardCharsets.UTF_8));
        }
    }

    private Path folder() {
        return cache.resolve("deep/runhv/natives");
    }

    private UnpackedNatives natives(NativeFiles... jars) throws IOException {
        return new UnpackedNatives(folder(), NativeParts.of(List.of(jars), PLATFORM));
    }

    @Test
    void theFilesOfAllJarsAreOneTreeThatOthersMayNotEnter() throws IOException {
        Path home = natives(program, kernel).home();

        assertThat(home.resolve("bin/runhv-vmm")).hasContent("a program").isExecutable();
        assertThat(home.resolve("share/runhv/vmlinux-minimal")).hasContent("a kernel");
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(folder())))
                .isEqualTo("rwx------");
        assertThat(unfinished()).isEmpty();
    }

    @Test
    void theyAreUnpackedOnceInWhateverOrderTheJarsAre() throws IOException {
        Path home = natives(program, kernel).home();

        assertThat(natives(kernel, program).home()).isEqualTo(home);
        assertThat(program.opened).hasValue(1);
        assertThat(kernel.opened).hasValue(1);
    }

    @Test
    void otherFilesAreAnotherTree() throws IOException {
        Path home = natives(program, kernel).home();
        Path other = natives(program, new Jar("kernel").with("share/runhv/vmlinux-minimal", "my own"))
                .home();

        assertThat(other).isNotEqualTo(home);
        assertThat(other.resolve("share/runhv/vmlinux-minimal")).hasContent("my own");
        assertThat(home.resolve("share/runhv/vmlinux-minimal")).hasContent("a kernel");
    }

    @Test
    void jarsForOtherPlatformsAreNotTaken() throws IOException {
        assertThat(NativeParts.of(List.of(program, kernel), "windows-x86_64").parts())
                .isEmpty();
    }

    @Test
    void ofSeveralAtOnceOneUnpacks() throws Exception {
        try (ExecutorService threads = Executors.newFixedThreadPool(8)) {
            List<Future<Path>> homes = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                homes.add(threads.submit(() -> natives(program, kernel).home()));
            }
            for (Future<Path> home : homes) {
                assertThat(home.get().resolve("bin/runhv-vmm")).hasContent("a program");
            }
        }
        assertThat(program.opened).hasValue(1);
    }

    @Test
    void whatADeadProcessLeftIsSweptAndNotTakenForWhole() throws IOException {
        Path home = natives(program).home();
        Path left = home.resolveSibling(home.getFileName() + ".new");
        Files.move(home, left);
        Files.writeString(left.resolve("bin/runhv-vmm"), "half");

        assertThat(natives(program).home().resolve("bin/runhv-vmm")).hasContent("a program");
        assertThat(unfinished()).isEmpty();
    }

    @Test
    void aDamagedJarIsRefusedAndLeavesNothing() throws IOException {
        program.files.put("bin/runhv-vmm", "another program");

        assertThatThrownBy(() -> natives(program).home())
                .isInstanceOf(RequestException.class)
                .hasMessage("Cannot read the native files META-INF/runhv/program:"
                        + " The jar is damaged: bin/runhv-vmm is not what its list says");
        assertThat(unfinished()).isEmpty();
    }

    @Test
    void aListThatLeadsOutOfTheTreeIsRefused() {
        for (String path : List.of("../up", "/etc/passwd", "bin/../../up", "bin//x", ".", "")) {
            Jar jar = new Jar("evil").withList("0".repeat(64) + "  " + path + "\n");

            assertThatThrownBy(() -> natives(jar).home())
                    .as(path)
                    .isInstanceOf(RequestException.class)
                    .hasMessageContaining("The jar is damaged: its SHA256SUMS has the line");
        }
    }

    @Test
    void aFolderThatOthersMayEnterIsRefused() throws IOException {
        natives(program).home();
        Files.setPosixFilePermissions(folder(), PosixFilePermissions.fromString("rwxrwx---"));

        assertThatThrownBy(() -> natives(program).home())
                .isInstanceOf(HostException.class)
                .hasMessage("Cannot unpack the native files of runhv into " + folder()
                        + " (-Drunhv.natives=DIR names another folder):"
                        + " Other users may enter the folder: chmod 700 closes it");
    }

    @Test
    void aFolderOfAnotherUserIsRefused() throws IOException {
        assumeThat((int) Files.getAttribute(Path.of("/proc/self"), "unix:uid"))
                .as("Skipped: needs root, to give a folder away")
                .isZero();
        natives(program).home();
        Files.setAttribute(folder(), "unix:uid", 65534);

        assertThatThrownBy(() -> natives(program).home())
                .isInstanceOf(HostException.class)
                .hasMessageEndingWith("The folder is another user's");
    }

    @Test
    void aLinkIsNoFolder() throws IOException {
        Files.createDirectories(folder().getParent());
        Files.createSymbolicLink(folder(), cache);

        assertThatThrownBy(() -> natives(program).home())
                .isInstanceOf(HostException.class)
                .hasMessageContaining("A file is where a folder should be: " + folder());
    }

    @Test
    void theFolderIsTheCachesUnlessOneIsNamed() {
        assertThat(UnpackedNatives.folder("/named", Map.of("XDG_CACHE_HOME", "/cache")))
                .isEqualTo(Path.of("/named"));
        assertThat(UnpackedNatives.folder("", Map.of("XDG_CACHE_HOME", "/cache")))
                .isEqualTo(Path.of("/cache/runhv/natives"));
        assertThat(UnpackedNatives.folder("", Map.of("XDG_CACHE_HOME", "relative")))
                .isEqualTo(Path.of(System.getProperty("user.home"), ".cache/runhv/natives"));
    }

    private List<Path> unfinished() throws IOException {
        try (Stream<Path> all = Files.list(folder())) {
            return all.filter(path -> path.toString().endsWith(".new")).toList();
        }
    }
}
