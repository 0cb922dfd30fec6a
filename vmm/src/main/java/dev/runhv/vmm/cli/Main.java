package dev.runhv.vmm.cli;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.cli.RequestReader.Request;
import dev.runhv.vmm.content.CallerEnvironment;
import dev.runhv.vmm.image.PullProgress;
import dev.runhv.vmm.kernel.Kernel;
import dev.runhv.vmm.kernel.KernelCatalogue;
import dev.runhv.vmm.process.Distribution;
import dev.runhv.vmm.registry.CredentialFiles;
import dev.runhv.vmm.registry.RegistryClient;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.runtime.BundlePreparation;
import dev.runhv.vmm.service.HandedConnection;
import dev.runhv.vmm.service.ImageServer;
import dev.runhv.vmm.service.PipeListener;
import dev.runhv.vmm.service.SocketListener;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/**
 * What {@code runhv run IMAGE}, the verbs of images and {@code runhv kernels} start: one request on the standard input, one answer on the standard output, progress on
 * the standard error (docs/prepare.md); or the image service, which answers many (docs/service.md). A person waits for it, so it touches few classes.
 */
public final class Main {
    private Main() {}

    /**
     * Exits with 0 when the bundle is there, with 1 when the answer is an error.
     *
     * @param arguments none: one request; else the image service's folder, identity and idle seconds, and on Windows the
     *     core's library. Its listener is the standard input, but on Windows, and the connection of its first client the
     *     standard output
     */
    public static void main(String[] arguments) throws IOException, InterruptedException {
        allowPasswordsForTunnels();
        if (arguments.length > 0) {
            Path folder = Path.of(arguments[0]);
            Duration idle = Duration.ofSeconds(Long.parseLong(arguments[2]));
            if (arguments.length > 3) {
                serveOnWindows(folder, arguments[1], idle, Path.of(arguments[3]));
            } else {
                serve(folder, arguments[1], idle);
            }
            return;
        }
        OutputStream out = new FileOutputStream(FileDescriptor.out);
        // The JVM is up: from here on what is on the standard error is ours (docs/prepare.md).
        out.write('\n');
        out.flush();
        int status = answer(System.in, out, System.err);
        out.flush();
        // Threads that read layers ahead may still be there; nobody waits for them. An exit would look in every module
        // for who
        // might log it (JDK 25), which takes a tenth of a short request's time, and there is no hook here that it would
        // run.
        Runtime.getRuntime().halt(status);
    }

    /**
     * The JDK keeps passwords from proxies that tunnel, as who listens on the way to a proxy could read them. Who has put one
     * into HTTPS_PROXY means it to be sent, as every other program does.
     */
    private static void allowPasswordsForTunnels() {
        if (System.getProperty(RegistryClient.DISABLED_FOR_TUNNELS) == null) {
            System.setProperty(RegistryClient.DISABLED_FOR_TUNNELS, "");
        }
    }

    private static void serve(Path folder, String identity, Duration idle) throws IOException, InterruptedException {
        ImageServer server = new ImageServer(new SocketListener(folder), identity, idle, Main::answer);
        server.serveFirst(new HandedConnection());
        server.serve();
        System.exit(0);
    }

    private static void serveOnWindows(Path folder, String identity, Duration idle, Path library)
            throws IOException, InterruptedException {
        PipeListener listener = new PipeListener(folder, library);
        ImageServer server = new ImageServer(listener, identity, idle, Main::answer);
        server.serveFirst(listener.handed());
        server.serve();
        System.exit(0);
    }

    /** What an answer holds where all went well. */
    private record Result(String field, String text) {}

    private static Result act(Request request, PrintStream errors) throws IOException, InterruptedException {
        // What people wait for is no case of the switch: one over types is made at run time.
        if (request instanceof Request.Image image) {
            return new Result("output", ImageVerbs.output(image, errors));
        }
        if (request instanceof Request.Prepare prepare) {
            BundlePreparation.prepare(
                    prepare.bundle(),
                    prepare.pull(),
                    prepare.progress() ? new PullLines(errors, true) : PullProgress.NONE,
                    prepare.progress() ? new ProgressLines(errors) : RootfsProgress.NONE);
            return new Result("bundle", prepare.bundle().bundle().toString());
        }
        return new Result("output", otherOutput(request));
    }

    private static String otherOutput(Request request) throws IOException, InterruptedException {
        return switch (request) {
            case Request.ListKernels list -> {
                List<Kernel> kernels = catalogue(list.store()).list();
                yield list.json() ? KernelTexts.json(kernels) : KernelTexts.table(kernels);
            }
            case Request.AddKernel add -> {
                Kernel kernel = catalogue(add.store()).add(add.name(), add.image(), add.modules());
                yield KernelTexts.table(List.of(kernel));
            }
            case Request.RemoveKernel remove -> {
                catalogue(remove.store()).remove(remove.name());
                yield remove.name() + "\n";
            }
            case Request.Login login -> {
                RegistryClient.check(login.registry(), login.credentials());
                String place =
                        new CredentialFiles(CallerEnvironment.get()).store(login.registry(), login.credentials());
                yield "Logged in to %s; kept in %s\n".formatted(login.registry(), place);
            }
            case Request.Logout logout -> {
                CredentialFiles files = new CredentialFiles(CallerEnvironment.get());
                files.erase(logout.registry());
                // Podman's files are not docker's.
                String still =
                        files.find(logout.registry(), "").isPresent() ? ", but other files have credentials" : "";
                yield "Logged out of " + logout.registry() + still + "\n";
            }
            case Request.Image _, Request.Prepare _ -> throw new IllegalArgumentException("It has its own way");
        };
    }

    private static KernelCatalogue catalogue(Path store) {
        return new KernelCatalogue(store, Distribution.find());
    }

    /** @param errors what a person sees meanwhile */
    static int answer(InputStream in, OutputStream out, PrintStream errors) throws IOException, InterruptedException {
        RunhvException failure = null;
        Result result = null;
        try {
            result = act(RequestReader.read(in), errors);
        } catch (RunhvException e) {
            failure = e;
        }
        try (JsonGenerator json = new JsonFactory().createGenerator(out)) {
            json.writeStartObject();
            json.writeNumberField("version", 1);
            if (failure == null) {
                json.writeStringField(result.field(), result.text());
            } else {
                json.writeObjectFieldStart("error");
                json.writeStringField("code", failure.code().jsonName());
                json.writeStringField("operation", failure.operation());
                json.writeStringField("detail", failure.detail());
                json.writeEndObject();
            }
            json.writeEndObject();
            json.writeRaw('\n');
        }
        return failure == null ? 0 : 1;
    }
}
