package dev.runhv.vmm.cli;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.rootfs.RootfsProgress;
import dev.runhv.vmm.runtime.BundlePreparation;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;

/**
 * What {@code runhv run IMAGE} starts: one request on the standard input, one answer on the standard output, progress on
 * the standard error (docs/prepare.md). A person waits for it, so it touches few classes.
 */
public final class Main {
    private Main() {}

    /** Takes no arguments; exits with 0 when the bundle is there, with 1 when the answer is an error. */
    public static void main(String[] arguments) throws IOException {
        OutputStream out = new FileOutputStream(FileDescriptor.out);
        int status = answer(System.in, out, new ProgressLines(System.err));
        out.flush();
        // Threads that read layers ahead may still be there; nobody waits for them.
        System.exit(status);
    }

    static int answer(InputStream in, OutputStream out, RootfsProgress lines) throws IOException {
        RunhvException failure = null;
        String bundle = "";
        try {
            RequestReader.Request request = RequestReader.read(in);
            BundlePreparation.prepare(request.bundle(), request.progress() ? lines : RootfsProgress.NONE);
            bundle = request.bundle().bundle().toString();
        } catch (RunhvException e) {
            failure = e;
        }
        try (JsonGenerator json = new JsonFactory().createGenerator(out)) {
            json.writeStartObject();
            json.writeNumberField("version", 1);
            if (failure == null) {
                json.writeStringField("bundle", bundle);
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
