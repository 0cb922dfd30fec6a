// The cgroups of a container's process on the host: cgroup v2, or every mounted hierarchy of v1
// (cgroups(7)). The guest's own cgroups are the agent's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "oci/host_spec.h"

namespace runhv::oci {

// What a VMM may use besides its guest's RAM: the engine's code cache, device queues, streams, the
// host's page cache of what it reads. The memory limit of its cgroup is the guest's RAM and this.
inline constexpr std::uint64_t kVmmOverheadBytes = 128ull << 20;

// The folders of `path` (linux.cgroupsPath: absolute = from the hierarchy's root, relative = from
// this process's own cgroup, in v2 from that above it), the named hierarchies of v1 included.
// Nothing is made.
Result<std::vector<std::string>> cgroup_folders(const std::string& path);

// Makes the folders where they are missing, and what a process needs to enter them. In v2 each has
// the controllers that those above can give.
Result<void> make_cgroups(const std::vector<std::string>& folders);

// A process that waits.
Result<void> enter_cgroups(const std::vector<std::string>& folders, std::uint64_t pid);

// `guest_memory_bytes`: the guest's RAM. A limit for whose controller there is no folder is an
// error.
Result<void> limit_cgroups(const std::vector<std::string>& folders, const Resources& resources,
                           std::uint64_t guest_memory_bytes);

// Quota and period are one to systemd, and one file of v2: where `resources` has one of them, with
// the other as it is in the folders.
Resources with_whole_cpu_time(const std::vector<std::string>& folders, Resources resources);

// Every process in them.
std::vector<std::uint64_t> processes_in_cgroups(const std::vector<std::string>& folders);

// What the processes of them have used. nullopt where no controller counts it.
struct ProcessorTime {
  std::uint64_t total_ns = 0;
  std::uint64_t user_ns = 0;
  std::uint64_t kernel_ns = 0;
};
std::optional<ProcessorTime> processor_time(const std::vector<std::string>& folders);

// Removes them once their processes have ended, which are given ten seconds, then killed.
Result<void> remove_cgroups(const std::vector<std::string>& folders);

}  // namespace runhv::oci
