import dev.runhv.api.ContainerSpec;
import dev.runhv.api.Runhv;
import java.nio.file.Path;

/** Takes the image of an archive into the store, and runs it by its name. */
void main(String[] arguments) throws Exception {
    try (var runhv = Runhv.open()) {
        var names = runhv.images().load(Path.of(arguments[0]));
        IO.println(names);
        var spec = ContainerSpec.image(names.getFirst()).command("sh", "-c", "cat; exit 42").stdin().build();
        try (var container = runhv.start(spec)) {
            container.stdin().write("typed\n".getBytes());
            container.stdin().close();
            IO.print(new String(container.stdout().readAllBytes()));
            IO.println(container.waitFor());
        }
    }
}
