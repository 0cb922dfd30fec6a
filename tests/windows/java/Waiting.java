import dev.runhv.api.ContainerSpec;
import dev.runhv.api.Runhv;

/** Starts a container, says so, and waits for its end, which does not come by itself. */
void main() throws Exception {
    var spec = ContainerSpec.image("oci:build/images/busybox").command("sleep", "1000").build();
    try (var runhv = Runhv.open();
            var container = runhv.start(spec)) {
        IO.println("started");
        container.waitFor();
    }
}
