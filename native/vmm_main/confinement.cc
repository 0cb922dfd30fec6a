#include "vmm_main/confinement.h"

#include <vector>

#include "container/linux_abi.h"
#include "platform/file_node.h"
#include "platform/path.h"
#include "platform/process.h"

namespace runhv::vmm_main {
namespace {

using platform::Duties;
using platform::KeptPath;

constexpr const char* kThisProcess = "/proc/self";

// Others are found by the network namespace that a container's process is in (oci/pod.h), and bring
// files that nobody knows before.
bool may_be_joined(const ConfinedContainer& container) {
  const container::ContainerSpec& spec = container.bundle.container;
  if (!spec.network_namespace.empty() || container.own_network) return true;
  const bool asks_for_one = (spec.namespaces & container::linux_abi::kCloneNewnet) != 0;
  return container.created && asks_for_one && platform::current_user_id() == 0;
}

Duties::Shares shares_of(const container::ContainerSpec& spec) {
  Duties::Shares shares = Duties::Shares::kNone;
  for (const container::ShareSpec& share : spec.shares) {
    if (!share.read_only) return Duties::Shares::kWritable;
    shares = Duties::Shares::kReadOnly;
  }
  return shares;
}

std::vector<KeptPath> files_of(const ConfinedContainer& container) {
  std::vector<KeptPath> files{
      // Its state is written anew, and it removes the folder, by another name.
      {container.folder, KeptPath::Access::kReadWrite},
      {platform::path_text(platform::filesystem_path(container.folder).parent_path()),
       KeptPath::Access::kFolderNames},
      // Its own statistics.
      {kThisProcess, KeptPath::Access::kRead}};
  for (const container::ShareSpec& share : container.bundle.container.shares) {
    files.push_back(
        {share.path, share.read_only ? KeptPath::Access::kRead : KeptPath::Access::kReadWrite});
  }
  return files;
}

}  // namespace

Duties duties_of(const ConfinedContainer& container) {
  const container::ContainerSpec& spec = container.bundle.container;
  const bool joinable = may_be_joined(container);
  Duties duties;
  duties.shares = joinable ? Duties::Shares::kWritable : shares_of(spec);
  duties.keeps_network = container.own_network || !spec.network_namespace.empty();
  duties.enters_network =
      !spec.network_namespace.empty() &&
      platform::identity_of(spec.network_namespace) != platform::identity_of("/proc/self/ns/net");
  if (!joinable) duties.files = files_of(container);
  return duties;
}

}  // namespace runhv::vmm_main
