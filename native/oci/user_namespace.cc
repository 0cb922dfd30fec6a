#include "oci/user_namespace.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <vector>

#include "base/scope_exit.h"
#include "control/container_folder.h"
#include "oci/container.h"
#include "oci/gate.h"
#include "platform/child.h"
#include "platform/file_node.h"
#include "platform/process.h"

namespace runhv::oci {

using container::UserMaps;

namespace {

// A guest's namespaces are no files of the host: whoever means them names the process that stands
// for them.
Result<std::optional<control::FoundContainer>> find_named(const std::string& root,
                                                          const std::string& path) {
  RUNHV_TRY_ASSIGN(auto containers, control::list_containers(root));
  const std::filesystem::path folder = std::filesystem::path(path).lexically_normal().parent_path();
  for (control::FoundContainer& each : containers) {
    if (is_there(each) && folder == "/proc/" + std::to_string(each.state.pid) + "/ns") {
      return std::optional(std::move(each));
    }
  }
  return std::optional<control::FoundContainer>();
}

Result<container::IdMap> read_map(std::uint64_t process, const char* name) {
  const std::string path = "/proc/" + std::to_string(process) + "/" + name;
  std::ifstream file(path);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  return container::parse_id_map(text, "read " + path);
}

// By a process that enters it: its maps are shown for processes alone.
Result<UserMaps> ask_kernel(const std::string& path) {
  RUNHV_TRY_ASSIGN(Gate gate, Gate::make());
  platform::Placement placement;
  placement.user_namespace = path;
  RUNHV_TRY_ASSIGN(const platform::Child child,
                   platform::start_child([&](const platform::Ready& ready) -> Result<int> {
                     RUNHV_TRY(platform::place_this_process(placement));
                     ready();
                     static_cast<void>(gate.wait());
                     return 0;
                   }));
  const ScopeExit end([&] {
    gate.open();
    static_cast<void>(child.wait());
  });
  UserMaps maps;
  RUNHV_TRY_ASSIGN(maps.users, read_map(child.pid(), "uid_map"));
  RUNHV_TRY_ASSIGN(maps.groups, read_map(child.pid(), "gid_map"));
  if (container::maps(maps.users, 0) && container::maps(maps.groups, 0)) return maps;
  return Fail{Error{Code::kInvalidArgument, "take the users of " + path,
                    "nobody in that user namespace is its root"}};
}

}  // namespace

Result<UserMaps> maps_of_user_namespace(const std::string& root, const std::string& path) {
  RUNHV_TRY_ASSIGN(const auto named, find_named(root, path));
  if (!named) {
    const auto theirs = platform::identity_of(path);
    const auto ours = platform::identity_of("/proc/self/ns/user");
    if (theirs && ours && *theirs == *ours) return UserMaps{};
    return ask_kernel(path);
  }
  // Whoever it took them from may have ended.
  if (const auto& kept = named->state.users) {
    UserMaps maps;
    RUNHV_TRY_ASSIGN(maps.users,
                     container::parse_id_map(kept->uid_map, "take the users of " + path));
    RUNHV_TRY_ASSIGN(maps.groups,
                     container::parse_id_map(kept->gid_map, "take the users of " + path));
    return maps;
  }
  RUNHV_TRY_ASSIGN(const HostSpec host, host_spec(*named));
  return UserMaps{host.uid_map, host.gid_map};
}

Result<bool> is_of_pod(const std::string& root, const std::string& pod, const std::string& path) {
  RUNHV_TRY_ASSIGN(const auto named, find_named(root, path));
  if (!named || named->state.id == pod) return named.has_value();
  if (named->state.pod != pod) return false;
  RUNHV_TRY_ASSIGN(const HostSpec host, host_spec(*named));
  return !host.user_namespace.empty();
}

}  // namespace runhv::oci
