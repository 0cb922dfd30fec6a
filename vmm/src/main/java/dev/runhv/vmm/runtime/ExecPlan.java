package dev.runhv.vmm.runtime;

import dev.runhv.api.ExecSpec;
import dev.runhv.vmm.rootfs.PreparedRootfs;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What other processes of a container have of its first one.
 *
 * @param rootfs of the image, for the names of users
 */
record ExecPlan(ProcessPlan first, PreparedRootfs rootfs) {
    /** The {@code process} object of the OCI runtime specification. */
    byte[] json(ExecSpec spec) {
        ResolvedUser user = spec.user()
                .map(text -> BundlePreparation.users(rootfs).resolve(text))
                .orElse(first.user());
        ProcessPlan process = new ProcessPlan(
                spec.command(),
                environment(spec, user),
                spec.workingDirectory().orElse(first.cwd()),
                user,
                first.hostname());
        return BundleWriter.process(process, spec.terminal());
    }

    private List<String> environment(ExecSpec spec, ResolvedUser user) {
        Map<String, String> values = new LinkedHashMap<>();
        for (String variable : first.environment()) {
            int equals = variable.indexOf('=');
            values.put(variable.substring(0, equals), variable.substring(equals + 1));
        }
        if (spec.user().isPresent()) {
            values.put("HOME", user.home());
        }
        values.putAll(spec.environment());
        List<String> variables = new ArrayList<>();
        values.forEach((name, value) -> variables.add(name + "=" + value));
        return variables;
    }
}
