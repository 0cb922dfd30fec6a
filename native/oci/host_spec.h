// What the host takes of config.json: where the container's process is to be, and who is to be
// told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "container/id_map.h"

namespace runhv::oci {

// OCI runtime specification, "POSIX-platform Hooks".
struct Hook {
  std::string path;
  std::vector<std::string> arguments;
  std::optional<std::vector<std::string>> environment;  // nullopt = the runtime's
  std::uint64_t timeout_ns;
};
struct Hooks {
  std::vector<Hook> prestart, create_runtime, create_container, poststart, poststop;
};

// Of linux.resources; nullopt = as it is.
struct Resources {
  std::optional<std::int64_t> memory_limit_bytes;  // -1 = none
  std::optional<std::uint64_t> cpu_shares;
  std::optional<std::int64_t> cpu_quota_us;  // -1 = none
  std::optional<std::uint64_t> cpu_period_us;
  std::string cpus;  // empty = as it is
  std::string memory_nodes;
};
// A LinuxResources object. `operation` is that of every error.
Result<Resources> parse_resources(std::string_view json, const std::string& operation);

struct HostSpec {
  std::string cgroups_path;
  Resources resources;
  bool has_network_namespace = false;
  std::string network_namespace;  // a file; empty = a new one
  // Files of those for ipc and uts that it names.
  std::vector<std::string> joined_namespaces;
  // Of the container's user namespace: a file of one that is there, or its maps.
  std::string user_namespace;
  container::IdMap uid_map;
  container::IdMap gid_map;
  // Whoever brings the names of a network (/etc/resolv.conf) brings the network.
  bool brings_resolver = false;
  std::optional<int> oom_score_adj;
  Hooks hooks;
};
Result<HostSpec> parse_host_spec(std::string_view config, const std::string& operation);

}  // namespace runhv::oci
