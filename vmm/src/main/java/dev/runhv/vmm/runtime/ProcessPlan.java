package dev.runhv.vmm.runtime;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.image.ImageConfig;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The container's first process, as it follows from the image and the request by the rules of {@code docker run}.
 *
 * @param environment {@code NAME=value}, each name once
 */
record ProcessPlan(List<String> arguments, List<String> environment, String cwd, ResolvedUser user, String hostname) {
    private static final String DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    private static final int HOST_NAME_FROM_ID = 63; // a label of the DNS, RFC 1035 §2.3.4

    static ProcessPlan of(BundleRequest request, ImageConfig image, UserDatabase users) {
        String hostname = request.hostname().isEmpty() ? shortened(request.id()) : request.hostname();
        ResolvedUser user = users.resolve(request.user().isEmpty() ? image.user() : request.user());
        return new ProcessPlan(
                arguments(request, image),
                environment(request, image, hostname, user),
                cwd(request, image),
                user,
                hostname);
    }

    // An entry point of one's own also drops the image's command, which was meant for the image's entry point.
    private static List<String> arguments(BundleRequest request, ImageConfig image) {
        boolean own = request.entrypoint() != null;
        List<String> arguments = new ArrayList<>(own ? request.entrypoint() : image.entrypoint());
        if (!request.arguments().isEmpty()) {
            arguments.addAll(request.arguments());
        } else if (!own) {
            arguments.addAll(image.cmd());
        }
        if (arguments.isEmpty()) {
            throw RunhvException.of(
                    ErrorCode.INVALID_ARGUMENT,
                    BundleRequest.operation(request.id()),
                    "The image names no command: write one after the image",
                    null,
                    null);
        }
        return List.copyOf(arguments);
    }

    private static List<String> environment(
            BundleRequest request, ImageConfig image, String hostname, ResolvedUser user) {
        Map<String, String> values = new LinkedHashMap<>();
        values.put("PATH", DEFAULT_PATH);
        values.put("HOSTNAME", hostname);
        addAll(values, image.env());
        addAll(values, request.environment());
        values.putIfAbsent("HOME", user.home());
        return values.entrySet().stream()
                .map(variable -> variable.getKey() + "=" + variable.getValue())
                .toList();
    }

    private static void addAll(Map<String, String> values, List<String> variables) {
        for (String variable : variables) {
            int equals = variable.indexOf('=');
            // An image may hold entries without a value; they name nothing that could be set.
            if (equals > 0) {
                values.put(variable.substring(0, equals), variable.substring(equals + 1));
            }
        }
    }

    private static String cwd(BundleRequest request, ImageConfig image) {
        if (!request.cwd().isEmpty()) {
            return request.cwd();
        }
        return image.workingDir().startsWith("/") ? image.workingDir() : "/" + image.workingDir();
    }

    private static String shortened(String id) {
        return id.length() <= HOST_NAME_FROM_ID ? id : id.substring(0, HOST_NAME_FROM_ID);
    }
}
