package user;

import dev.runhv.api.ContainerSpec;
import dev.runhv.api.Runhv;

/** Prints what `uname` says in a container of each image that is named. */
public final class Hello {
    private Hello() {}

    public static void main(String[] images) throws Exception {
        try (var runhv = Runhv.open()) {
            for (String image : images) {
                System.out.print(uname(runhv, image));
            }
        }
    }

    static String uname(Runhv runhv, String image) throws Exception {
        var spec = ContainerSpec.image(image).command("uname", "-sm").build();
        try (var container = runhv.start(spec)) {
            return new String(container.stdout().readAllBytes());
        }
    }
}
