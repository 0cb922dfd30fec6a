package dev.runhv.vmm.runtime;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RequestException;
import dev.runhv.api.RunhvException;
import dev.runhv.api.TerminalSize;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * What is asked of a bundle, checked as far as it can be without the image. Empty strings, empty lists and 0 mean "as the
 * image says" or "runhv's own"; see docs/prepare.md.
 *
 * @param bundle a folder that does not exist
 * @param environment {@code NAME=value}
 * @param entrypoint null: as the image says; empty: none
 * @param kernel null: runhv's own
 * @param modules of the kernel; null: none
 * @param engine empty or as {@code --engine}
 * @param sysctls values by name, beside those that every container has
 * @param annotations of others than runhv, values by name
 * @param terminal of the first process; null: none
 */
public record BundleRequest(
        String id,
        String image,
        Path store,
        Path bundle,
        List<String> environment,
        String cwd,
        String user,
        List<String> entrypoint,
        List<String> arguments,
        String hostname,
        long memoryBytes,
        long cpus,
        long scratchBytes,
        Path kernel,
        Path modules,
        boolean stdin,
        String engine,
        Map<String, String> sysctls,
        Map<String, String> annotations,
        TerminalSize terminal) {
    private static final Pattern ID = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}");
    /** As sysctl(8) takes it: dots or slashes between the parts, and no part leads out of /proc/sys. */
    private static final Pattern SYSCTL = Pattern.compile("[A-Za-z0-9_-]+([./][A-Za-z0-9_-]+)+");

    private static final int HOST_NAME_BYTES = 64; // Linux: __NEW_UTS_LEN

    /** @throws RequestException that names the value and what it should be */
    public BundleRequest {
        environment = List.copyOf(environment);
        entrypoint = entrypoint == null ? null : List.copyOf(entrypoint);
        arguments = List.copyOf(arguments);
        sysctls = Collections.unmodifiableMap(new LinkedHashMap<>(sysctls)); // Map.copyOf would lose the order
        annotations = Map.copyOf(annotations);
        require(
                ID.matcher(id).matches(),
                id,
                "The name may have 1 to 128 of the characters A-Z a-z 0-9 _ . -, first a letter, digit or _");
        require(bundle.isAbsolute(), id, "The folder of the bundle is not an absolute path: " + bundle);
        for (String variable : environment) {
            require(variable.indexOf('=') > 0, id, "The environment variable \"" + variable + "\" is not NAME=value");
            requireText(id, "environment variable", variable);
        }
        require(cwd.isEmpty() || cwd.startsWith("/"), id, "The working directory \"" + cwd + "\" is not absolute");
        requireText(id, "working directory", cwd);
        requireText(id, "user", user);
        requireText(id, "host name", hostname);
        require(
                hostname.getBytes(StandardCharsets.UTF_8).length <= HOST_NAME_BYTES,
                id,
                "The host name has more than " + HOST_NAME_BYTES + " bytes");
        for (String argument : arguments) {
            requireText(id, "argument", argument);
        }
        if (entrypoint != null) {
            for (String word : entrypoint) {
                requireText(id, "entry point", word);
            }
        }
        for (Map.Entry<String, String> sysctl : sysctls.entrySet()) {
            require(
                    SYSCTL.matcher(sysctl.getKey()).matches(),
                    id,
                    "\"" + sysctl.getKey() + "\" is no name of a sysctl");
            requireText(id, "sysctl", sysctl.getValue());
        }
        require(memoryBytes >= 0, id, "The memory is negative");
        require(cpus >= 0, id, "The number of processors is negative");
        require(scratchBytes >= 0, id, "The scratch disk's size is negative");
        require(kernel == null || kernel.isAbsolute(), id, "The kernel is not an absolute path: " + kernel);
        require(modules == null || modules.isAbsolute(), id, "The modules are not an absolute path: " + modules);
    }

    static String operation(String id) {
        return "make the bundle of container " + id;
    }

    // Linux ends a string at the first NUL: what follows would be lost in silence.
    private static void requireText(String id, String what, String text) {
        require(text.indexOf('\0') < 0, id, "The " + what + " holds a NUL character");
    }

    private static void require(boolean holds, String id, String detail) {
        if (!holds) {
            throw RunhvException.of(ErrorCode.INVALID_ARGUMENT, operation(id), detail, null, null);
        }
    }
}
