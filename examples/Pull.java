import dev.runhv.api.ContainerSpec;
import dev.runhv.api.ImageEvent;
import dev.runhv.api.PullSpec;
import dev.runhv.api.Runhv;

void main() throws Exception {
    try (var runhv = Runhv.open()) {
        var images = runhv.images();
        var image = images.pull(PullSpec.image("busybox:1.36").build(), event -> {
            switch (event) {
                case ImageEvent.Resolved resolved -> IO.println(resolved.layers() + " layers");
                case ImageEvent.Fetched fetched -> IO.println(fetched.bytes() + " of " + fetched.totalBytes());
                default -> {}
            }
        });
        IO.println(images.inspect(image.id()).environment());
        try (var container = runhv.start(ContainerSpec.image(image.name()).command("uname", "-r").build())) {
            IO.print(new String(container.stdout().readAllBytes()));
        }
    }
}
