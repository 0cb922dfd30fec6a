package dev.runhv.vmm.service;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.process.Distribution;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;

/**
 * Where the image service of this user listens, and what it is.
 *
 * @param identity that a client says first
 */
public record ServicePlace(Path socket, String identity) {
    private static final String OPERATION = "start the image service";
    private static final int ANSWER_BYTES = 1 << 16;

    /**
     * The one for commands of a distribution, in this process's surroundings; started where there is none.
     *
     * @throws RunhvException where it does not start
     * @throws InterruptedException while it starts
     */
    public static ServicePlace started(Distribution distribution) throws InterruptedException {
        try {
            Process command = new ProcessBuilder(List.of(distribution.command().toString(), "service", "start"))
                    .redirectErrorStream(true)
                    .start();
            command.getOutputStream().close();
            String said = new String(command.getInputStream().readNBytes(ANSWER_BYTES), StandardCharsets.UTF_8);
            int status = command.waitFor();
            int end = said.indexOf('\n');
            if (status != 0 || end < 0 || !said.endsWith("\n")) {
                throw Failures.of(ErrorCode.HOST_FAILED, OPERATION, said.strip());
            }
            return new ServicePlace(Path.of(said.substring(0, end)), said.substring(end + 1, said.length() - 1));
        } catch (IOException e) {
            throw Failures.of(OPERATION, e);
        }
    }
}
