import dev.runhv.api.ContainerSpec;
import dev.runhv.api.Runhv;

void main() throws Exception {
    var spec = ContainerSpec.image("oci:build/images/busybox:latest").command("uname", "-sr").build();
    try (var runhv = Runhv.open();
            var container = runhv.start(spec)) {
        IO.print(new String(container.stdout().readAllBytes()));
        IO.println(container.waitFor());
    }
}
