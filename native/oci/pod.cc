#include "oci/pod.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "control/container_folder.h"
#include "oci/container.h"
#include "platform/file_node.h"

namespace runhv::oci {
namespace {

// Device and inode. Nullopt: it cannot be looked at.
using FileIdentity = std::optional<std::pair<std::uint64_t, std::uint64_t>>;

FileIdentity identity_of(const std::string& path) {
  const auto file = platform::FileNode::open(path);
  platform::FileStatus status;
  if (!file || file->status(status) != 0) return std::nullopt;
  return std::pair(status.device, status.inode);
}

}  // namespace

Result<std::string> find_pod(const std::string& root, const std::string& network_namespace) {
  const FileIdentity wanted =
      network_namespace.empty() ? std::nullopt : identity_of(network_namespace);
  // Whoever enters it says what is wrong.
  if (!wanted || wanted == identity_of("/proc/self/ns/net")) return std::string();
  RUNHV_TRY_ASSIGN(const auto containers, control::list_containers(root));
  for (const control::FoundContainer& each : containers) {
    if (!is_there(each) || !each.state.pod.empty()) continue;
    if (identity_of("/proc/" + std::to_string(each.state.pid) + "/ns/net") == wanted) {
      return each.state.id;
    }
  }
  return std::string();
}

}  // namespace runhv::oci
