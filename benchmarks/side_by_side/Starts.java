import dev.runhv.api.ContainerSpec;
import dev.runhv.api.Engine;
import dev.runhv.api.Runhv;

/**
 * Starts a container of an image for each byte on stdin, in one JVM that stays warm: {@code Starts MEBIBYTES IMAGE
 * COMMAND…}. Passes the container's first byte of output on as soon as it is there, and a dot when the container is gone.
 */
void main(String[] words) throws Exception {
    var spec = ContainerSpec.image(words[1])
            .resources(resources -> resources.memoryMebibytes(Integer.parseInt(words[0])))
            .engine(Engine.SOFT)
            .command(Arrays.copyOfRange(words, 2, words.length))
            .build();
    try (var runhv = Runhv.open()) {
        while (System.in.read() >= 0) {
            try (var container = runhv.start(spec)) {
                var output = container.stdout();
                answer(output.read());
                output.transferTo(OutputStream.nullOutputStream());
                if (!container.waitFor().isSuccess()) {
                    throw new IllegalStateException("The container failed");
                }
            }
            answer('.');
        }
    }
}

void answer(int value) {
    System.out.write(value);
    System.out.flush();
}
