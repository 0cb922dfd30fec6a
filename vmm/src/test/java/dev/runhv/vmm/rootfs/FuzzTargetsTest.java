package dev.runhv.vmm.rootfs;

import static org.assertj.core.api.Assertions.assertThat;

import dev.runhv.vmm.content.GzipFuzz;
import dev.runhv.vmm.content.tar.Corpus;
import dev.runhv.vmm.content.tar.TarFuzz;
import dev.runhv.vmm.image.ConfigFuzz;
import dev.runhv.vmm.image.ManifestFuzz;
import dev.runhv.vmm.image.ReferenceFuzz;
import dev.runhv.vmm.image.StatementFuzz;
import dev.runhv.vmm.registry.AuthFileFuzz;
import dev.runhv.vmm.registry.ChallengeFuzz;
import dev.runhv.vmm.registry.HostsFuzz;
import dev.runhv.vmm.service.ServiceFuzz;
import dev.runhv.vmm.trust.FileListFuzz;
import dev.runhv.vmm.trust.PolicyFuzz;
import dev.runhv.vmm.trust.SignatureFuzz;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every input that {@code tools/dev fuzz java} found worth keeping, and a bounded number of mutations of each. More rounds:
 * {@code -Drunhv.fuzz.rounds=100000}.
 */
class FuzzTargetsTest {
    private static final int ROUNDS = Integer.getInteger("runhv.fuzz.rounds", 400);
    private static final Path CORPUS = Path.of("src/test/resources/fuzz");

    private interface Target {
        void run(byte[] data) throws IOException;
    }

    static Stream<Arguments> targets() {
        return Stream.of(
                target("reference", ReferenceFuzz::fuzzerTestOneInput),
                target("manifest", ManifestFuzz::fuzzerTestOneInput),
                target("config", ConfigFuzz::fuzzerTestOneInput),
                target("tar", TarFuzz::fuzzerTestOneInput),
                target("gzip", GzipFuzz::fuzzerTestOneInput),
                target("erofs", ErofsFuzz::fuzzerTestOneInput),
                target("merge", MergeFuzz::fuzzerTestOneInput),
                target("challenge", ChallengeFuzz::fuzzerTestOneInput),
                target("auth", AuthFileFuzz::fuzzerTestOneInput),
                target("hosts", HostsFuzz::fuzzerTestOneInput),
                target("service", ServiceFuzz::fuzzerTestOneInput),
                target("policy", PolicyFuzz::fuzzerTestOneInput),
                target("signature", SignatureFuzz::fuzzerTestOneInput),
                target("statement", StatementFuzz::fuzzerTestOneInput),
                target("filelist", FileListFuzz::fuzzerTestOneInput));
    }

    private static Arguments target(String name, Target target) {
        return Arguments.of(name, target);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("targets")
    void acceptsItsCorpusAndWhatIsNearIt(String name, Target target) throws IOException {
        List<byte[]> corpus = corpus(name);
        assertThat(corpus).isNotEmpty();
        Random random = new Random(name.hashCode());
        for (byte[] input : corpus) {
            run(target, input);
        }
        for (int round = 0; round < ROUNDS; round++) {
            run(target, mutated(corpus.get(random.nextInt(corpus.size())), random));
        }
    }

    private static List<byte[]> corpus(String name) throws IOException {
        try (Stream<Path> files = Files.list(CORPUS.resolve(name))) {
            List<byte[]> corpus = new ArrayList<>();
            for (Path file : files.sorted().toList()) {
                corpus.add(Files.readAllBytes(file));
            }
            if (name.equals("tar")) {
                corpus.add(Corpus.read("gnu.tar"));
                corpus.add(Corpus.read("posix-sparse-1.0.tar"));
            }
            return corpus;
        }
    }

    private static void run(Target target, byte[] input) {
        try {
            target.run(input);
        } catch (IOException | RuntimeException | Error e) {
            throw new AssertionError("Input " + HexFormat.of().formatHex(input), e);
        }
    }

    private static byte[] mutated(byte[] whole, Random random) {
        byte[] data = whole.clone();
        for (int changes = 1 + random.nextInt(4); changes > 0 && data.length > 0; changes--) {
            int at = random.nextInt(data.length);
            switch (random.nextInt(4)) {
                case 0 -> data[at] ^= (byte) (1 << random.nextInt(8));
                case 1 -> data[at] = (byte) random.nextInt(256);
                case 2 -> {
                    int length = Math.min(random.nextInt(64), data.length - at);
                    byte[] longer = Arrays.copyOf(data, data.length + length);
                    System.arraycopy(data, at, longer, at + length, data.length - at);
                    data = longer;
                }
                default -> data = Arrays.copyOf(data, at);
            }
        }
        return data;
    }
}
