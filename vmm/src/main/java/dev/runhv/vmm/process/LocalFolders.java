package dev.runhv.vmm.process;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import java.nio.file.Path;
import java.util.Map;

/** Where Windows has what is the user's own and stays on this machine, as {@code native/platform/windows/user_folders.cc}. */
public final class LocalFolders {
    public static final boolean USED = Distribution.WINDOWS;

    private static final String VARIABLE = "LOCALAPPDATA";

    private LocalFolders() {}

    /** @throws RunhvException where the environment does not say it */
    public static Path runhv(Map<String, String> environment) {
        String local = environment.getOrDefault(VARIABLE, "");
        if (local.isEmpty() || !Path.of(local).isAbsolute()) {
            throw RunhvException.of(
                    ErrorCode.INVALID_ARGUMENT,
                    "find the user's folder of data",
                    VARIABLE + (local.isEmpty() ? " is not set" : " is no absolute path: " + local),
                    null,
                    null);
        }
        return Path.of(local, "runhv");
    }
}
