// What runhv takes from a bundle for the container itself: its root, and what surrounds its
// processes (docs/bundle.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "container/cgroup_settings.h"
#include "container/id_map.h"
#include "container/linux_abi.h"
#include "runhv_agent.h"

namespace runhv::container {

struct MountSpec {
  runhv_mount fixed{};
  std::string destination;
  std::string type;
  std::string source;
  std::string data;
  std::optional<std::size_t> share;  // its place among the shares; nullopt = the guest's own
};

// A file or folder of the host that the guest sees, by its place in the list.
struct ShareSpec {
  std::string path;  // absolute, or from the bundle's folder
  bool read_only = false;
  bool cross_mounts = true;
  // Where both are there: who its files' owners are for the container's kernel (uidMappings of a
  // mount: inside = on the file system, outside = what the guest sees).
  IdMap uid_map = {};
  IdMap gid_map = {};
  bool maps_tree = false;  // of what is mounted below, too
};

struct DeviceSpec {
  runhv_device fixed{};
  std::string path;
};

// A file, folder or link that is made in the root before anything is mounted.
struct FileSpec {
  runhv_file fixed{};
  std::string path;
  std::string content;  // of a link: its target
};

// A program of the root that runs before the first process's own.
struct HookSpec {
  std::string path;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::uint32_t timeout_seconds = 0;  // 0 = none
};

// Whether a container has a machine of its own, or is one more of another's.
enum class Joins : std::uint8_t { kNothing, kMachine };

struct ContainerSpec {
  bool root_read_only = false;
  bool root_on_scratch_disk = false;  // the writable layer, else memory
  bool root_is_shared = false;        // shares[0], else a block image
  std::size_t root_share = 0;         // the guest's number of it
  std::uint32_t root_propagation = 0;
  std::string root_type;  // "erofs" or "ext4"
  std::vector<ShareSpec> shares;
  std::vector<MountSpec> mounts;
  std::uint32_t namespaces = 0;  // CLONE_NEW*
  // Of the user namespace; both are empty where it has none.
  IdMap uid_map;
  IdMap gid_map;
  // A file of the host's: whoever runs the container reads the maps of that user namespace. Empty:
  // the bundle has them.
  std::string user_namespace;
  // With Joins::kMachine: the user namespace is the first container's, where that has one.
  bool joins_users = false;
  // Of the host: its interfaces become the guest's. Empty: a loopback only.
  std::string network_namespace;
  std::string hostname;
  std::string domainname;
  std::vector<DeviceSpec> devices;
  std::vector<std::string> masked_paths;
  std::vector<std::string> read_only_paths;
  std::vector<std::pair<std::string, std::string>> sysctls;
  std::vector<FileSpec> files;
  std::optional<runhv_time_offsets> time_offsets;
  // The container's cgroup in the guest; nullopt: it has none of its own.
  std::optional<CgroupSettings> cgroup;
  std::vector<HookSpec> start_hooks;
  std::string hook_state;  // the specification's state, for them; its owner's to set
  bool has_host_hooks = false;

  // As if it had not been asked for.
  void drop_user_namespace() {
    namespaces &= ~linux_abi::kCloneNewuser;
    uid_map.clear();
    gid_map.clear();
    joins_users = false;
  }

  // Of the user namespace that a path names; without any it is that of everybody.
  void set_user_namespace(UserMaps maps) {
    uid_map = std::move(maps.users);
    gid_map = std::move(maps.groups);
    if (uid_map.empty()) drop_user_namespace();
  }

  // Of the host; empty where the root is a block image.
  std::string root_folder() const { return root_is_shared ? shares.front().path : std::string(); }
};

}  // namespace runhv::container
