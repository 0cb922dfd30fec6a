package dev.runhv.vmm.runtime;

import java.util.List;

/**
 * Who the container's first process is.
 *
 * @param additionalGids holds {@code gid} too: a process that changes its own group would otherwise get at files whose
 *     mode denies them to that group (CVE-2022-2995)
 * @param home a folder, {@code /} where none is known
 */
record ResolvedUser(long uid, long gid, List<Long> additionalGids, String home) {
    ResolvedUser {
        additionalGids = List.copyOf(additionalGids);
    }
}
