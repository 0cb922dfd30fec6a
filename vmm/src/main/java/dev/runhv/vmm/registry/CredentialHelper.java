package dev.runhv.vmm.registry;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.Json;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Pattern;

/** A program {@code docker-credential-NAME} that keeps credentials: one request, one answer, then it has ended. */
final class CredentialHelper {
    static final int ANSWER_BYTES = 1 << 20;
    static final Duration USUAL_LIMIT = Duration.ofSeconds(60);

    /** No path: what a file names is found where programs are found. */
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}");

    private final String program;
    private final Map<String, String> environment;
    private final Duration limit;

    /**
     * @param environment of the program, which is looked for in its PATH
     * @param limit of the time that it has for an answer
     * @throws RunhvException where the name cannot be one
     */
    CredentialHelper(String name, Map<String, String> environment, Duration limit) {
        this.program = "docker-credential-" + name;
        this.environment = environment;
        this.limit = limit;
        if (!NAME.matcher(name).matches()) {
            throw Failures.invalid(operation(), "\"%s\" is no name of a credential helper".formatted(name));
        }
    }

    /** @throws RunhvException where the program is not there, fails or says what cannot be read */
    Optional<Credentials> get(String server) throws InterruptedException {
        Answer answer = run("get", server);
        if (answer.status != 0) {
            if (answer.text().contains("credentials not found")) {
                return Optional.empty();
            }
            throw failed(answer);
        }
        try {
            Json json = Json.parse(answer.bytes);
            return Optional.of(new Credentials(json.string("Username", ""), json.string("Secret")));
        } catch (CorruptInputException e) {
            throw Failures.corrupt(operation(), "Its answer cannot be read: " + e.getMessage());
        }
    }

    void store(String server, Credentials credentials) throws InterruptedException {
        StringWriter text = new StringWriter();
        try (JsonGenerator json = new JsonFactory().createGenerator(text)) {
            json.writeStartObject();
            json.writeStringField("ServerURL", server);
            json.writeStringField("Username", credentials.user());
            json.writeStringField("Secret", credentials.secret());
            json.writeEndObject();
        } catch (IOException e) {
            throw new UncheckedIOException(e); // nothing is written to but memory
        }
        requireSuccess(run("store", text.toString()));
    }

    void erase(String server) throws InterruptedException {
        requireSuccess(run("erase", server));
    }

    private void requireSuccess(Answer answer) {
        if (answer.status != 0) {
            throw failed(answer);
        }
    }

    private RunhvException failed(Answer answer) {
        String said = answer.text().lines().findFirst().orElse("");
        return Failures.of(operation(), new IOException("It ends with status %d: %s".formatted(answer.status, said)));
    }

    private record Answer(int status, byte[] bytes) {
        String text() {
            return new String(bytes, StandardCharsets.UTF_8).strip();
        }
    }

    private Answer run(String verb, String input) throws InterruptedException {
        Process process;
        try {
            ProcessBuilder builder = new ProcessBuilder(path(), verb);
            builder.environment().clear();
            builder.environment().putAll(environment);
            process = builder.redirectError(ProcessBuilder.Redirect.DISCARD).start();
        } catch (IOException e) {
            throw Failures.notFound(
                    operation(), "It cannot be started: install it, or take its name out of the file that names it");
        }
        try {
            CompletableFuture<byte[]> output = new CompletableFuture<>();
            Thread.startVirtualThread(() -> converse(process, input, output));
            byte[] bytes = output.get(limit.toNanos(), TimeUnit.NANOSECONDS);
            if (bytes.length > ANSWER_BYTES) {
                throw Failures.corrupt(operation(), "It says more than %d bytes".formatted(ANSWER_BYTES));
            }
            if (!process.waitFor(limit.toNanos(), TimeUnit.NANOSECONDS)) {
                throw new TimeoutException();
            }
            return new Answer(process.exitValue(), bytes);
        } catch (TimeoutException e) {
            throw Failures.of(
                    operation(), new IOException("It has not answered after %d ms".formatted(limit.toMillis())));
        } catch (ExecutionException e) {
            throw Failures.of(operation(), new IOException(e.getCause().getMessage(), e));
        } finally {
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
        }
    }

    private static void converse(Process process, String input, CompletableFuture<byte[]> output) {
        try {
            try (OutputStream in = process.getOutputStream()) {
                in.write(input.getBytes(StandardCharsets.UTF_8));
            } catch (IOException e) {
                // It may answer, or fail, without having read all: what it says counts.
            }
            try (InputStream out = process.getInputStream()) {
                output.complete(out.readNBytes(ANSWER_BYTES + 1));
            }
        } catch (IOException e) {
            output.completeExceptionally(e);
        }
    }

    private String path() {
        for (String folder : environment.getOrDefault("PATH", "").split(File.pathSeparator)) {
            Path file = Path.of(folder).resolve(program);
            if (Files.isExecutable(file)) {
                return file.toString();
            }
        }
        return program;
    }

    @Override
    public String toString() {
        return program;
    }

    private String operation() {
        return "ask " + program;
    }
}
