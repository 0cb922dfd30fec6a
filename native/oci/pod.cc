#include "oci/pod.h"

#include <algorithm>
#include <filesystem>

#include "control/container_folder.h"
#include "oci/container.h"
#include "platform/file_node.h"
#include "platform/process.h"

namespace runhv::oci {
namespace {

// A guest's namespaces are no files of the host: whoever means them names the process that stands
// for them, which itself may be in the host's. Of a user who is not root it may not open what
// others bring (vmm_main/confinement.h).
bool names_process(const HostSpec& host, std::uint64_t pid) {
  if (platform::current_user_id() != 0) return false;
  const std::string folder = "/proc/" + std::to_string(pid) + "/ns";
  return std::ranges::any_of(host.joined_namespaces, [&](const std::string& path) {
    return std::filesystem::path(path).lexically_normal().parent_path() == folder;
  });
}

bool are_the_same(const std::string& one, const std::string& other) {
  const auto first = platform::identity_of(one);
  const auto second = platform::identity_of(other);
  return first && second && *first == *second;
}

}  // namespace

Result<std::string> find_pod(const std::string& root, const HostSpec& host) {
  // Whoever enters it says what is wrong.
  const bool by_network =
      !host.network_namespace.empty() && !are_the_same(host.network_namespace, "/proc/self/ns/net");
  if (!by_network && host.joined_namespaces.empty()) return std::string();
  RUNHV_TRY_ASSIGN(const auto containers, control::list_containers(root));
  std::string named;
  for (const control::FoundContainer& each : containers) {
    if (!is_there(each) || !each.state.pod.empty()) continue;
    const std::string network = "/proc/" + std::to_string(each.state.pid) + "/ns/net";
    if (by_network && are_the_same(network, host.network_namespace)) return each.state.id;
    if (names_process(host, each.state.pid)) named = each.state.id;
  }
  return named;
}

}  // namespace runhv::oci
