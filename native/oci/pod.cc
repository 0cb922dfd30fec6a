#include "oci/pod.h"

#include <optional>

#include "control/container_folder.h"
#include "oci/container.h"
#include "platform/file_node.h"

namespace runhv::oci {

Result<std::string> find_pod(const std::string& root, const std::string& network_namespace) {
  const auto wanted =
      network_namespace.empty() ? std::nullopt : platform::identity_of(network_namespace);
  // Whoever enters it says what is wrong.
  if (!wanted || wanted == platform::identity_of("/proc/self/ns/net")) return std::string();
  RUNHV_TRY_ASSIGN(const auto containers, control::list_containers(root));
  for (const control::FoundContainer& each : containers) {
    if (!is_there(each) || !each.state.pod.empty()) continue;
    if (platform::identity_of("/proc/" + std::to_string(each.state.pid) + "/ns/net") == wanted) {
      return each.state.id;
    }
  }
  return std::string();
}

}  // namespace runhv::oci
