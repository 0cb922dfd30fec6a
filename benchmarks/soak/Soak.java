import dev.runhv.api.Container;
import dev.runhv.api.ContainerSpec;
import dev.runhv.api.ExitStatus;
import dev.runhv.api.Runhv;
import dev.runhv.api.StartStage;
import dev.runhv.api.StartTimings;
import dev.runhv.vmm.inprocess.InProcessVm;
import dev.runhv.vmm.process.Distribution;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/**
 * Starts one container after the other from one JVM, and says on stdout, a line of JSON each, how long each start took and,
 * now and then, what the JVM holds; {@code in-process} also lets the containers write there. Run by soak.py.
 *
 * <p>Arguments: {@code in-process BUNDLE STARTS} or {@code api IMAGE STARTS}.
 */
class Soak {
    private static final Path SELF = Path.of("/proc/self");
    private static final int SAMPLES = 10;

    private interface Start {
        /** @return microseconds from the start to the container's first output */
        long run(int number) throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        int starts = Integer.parseInt(arguments[2]);
        switch (arguments[0]) {
            case "in-process" -> inProcess(Path.of(arguments[1]), starts);
            case "api" -> api(arguments[1], starts);
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    private static void inProcess(Path bundle, int starts) throws Exception {
        Distribution distribution = Distribution.find();
        var core = new InProcessVm.Core(
                distribution.jniLibrary(), distribution.kernel(), distribution.initrd(), distribution.scratch());
        repeat(starts, number -> {
            try (InProcessVm vm = InProcessVm.create(core, "soak", bundle, "", InProcessVm.Streams.INHERIT)) {
                vm.start();
                ExitStatus status = vm.waitFor();
                check(status.isSuccess(), number, status);
                return firstOutput(vm.timings());
            }
        });
    }

    private static void api(String image, int starts) throws Exception {
        try (Runhv runhv = Runhv.open()) {
            ContainerSpec spec = ContainerSpec.image(image).command("echo", "out").build();
            repeat(starts, number -> {
                try (Container container = runhv.start(spec)) {
                    String output = new String(container.stdout().readAllBytes());
                    ExitStatus status = container.waitFor();
                    check(status.isSuccess() && output.equals("out\n"), number, status + " " + output);
                    return firstOutput(container.timings().orElseThrow());
                }
            });
        }
    }

    private static void check(boolean holds, int number, Object why) {
        if (!holds) {
            throw new IllegalStateException("start " + number + ": " + why);
        }
    }

    private static long firstOutput(StartTimings timings) {
        var spawn = timings.stage(StartStage.SPAWN).orElseThrow().start();
        return timings.stage(StartStage.FIRST_OUTPUT).orElseThrow().start().minus(spawn).toNanos() / 1000;
    }

    private static void repeat(int starts, Start start) throws Exception {
        // What is loaded, compiled and cached on the first starts is no leak.
        int warm = Math.max(2, Math.min(20, starts / 4));
        for (int number = 1; number <= starts; number++) {
            System.out.println("{\"first_output_us\":" + start.run(number) + "}");
            if (number >= warm && ((number - warm) % Math.max(1, starts / SAMPLES) == 0 || number == starts)) {
                System.out.println(sample(number));
            }
        }
    }

    private static String sample(int number) throws IOException {
        System.gc();
        var runtime = Runtime.getRuntime();
        return "{\"starts\":" + number
                + ",\"heap_bytes\":" + (runtime.totalMemory() - runtime.freeMemory())
                + ",\"rss_bytes\":" + resident()
                + ",\"descriptors\":" + count("fd")
                + ",\"threads\":" + count("task")
                + ",\"mappings\":" + Files.readAllLines(SELF.resolve("maps")).size() + "}";
    }

    private static long count(String folder) throws IOException {
        try (Stream<Path> entries = Files.list(SELF.resolve(folder))) {
            return entries.count();
        }
    }

    private static long resident() throws IOException {
        return Files.readAllLines(SELF.resolve("status")).stream()
                .filter(line -> line.startsWith("VmRSS:"))
                .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024)
                .findFirst()
                .orElseThrow();
    }
}
