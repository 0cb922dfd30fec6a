#include "container/container_spec.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "container/container_reader.h"
#include "container/etc_files.h"
#include "container/json_fields.h"
#include "container/linux_abi.h"
#include "container/process_reader.h"

namespace runhv::container {
namespace {

enum class Bind : std::uint8_t { kNo, kTop, kTree };

enum class Mapped : std::uint8_t { kNo, kTop, kTree };

struct ReadMount {
  MountSpec spec;
  Bind bind = Bind::kNo;
  Mapped mapped = Mapped::kNo;
};

// Options for a whole tree of mounts. What is mounted here is new and has none below it.
std::string_view without_recursion(std::string_view name) {
  static constexpr std::string_view kRecursive[] = {
      "rrw",    "rnosuid",      "rsuid",          "rnodev",     "rdev",        "rnoexec",
      "rexec",  "rnodiratime",  "rdiratime",      "rrelatime",  "rnorelatime", "rnoatime",
      "ratime", "rstrictatime", "rnostrictatime", "rsymfollow", "rnosymfollow"};
  return std::ranges::find(kRecursive, name) == std::end(kRecursive) ? name : name.substr(1);
}

void read_mount_option(const JsonNode& node, ReadMount& mount) {
  const std::string name = node.string();
  runhv_mount& fixed = mount.spec.fixed;
  if (name == "idmap") {
    mount.mapped = Mapped::kTop;
  } else if (name == "ridmap") {
    mount.mapped = Mapped::kTree;
  } else if (name == "bind") {
    mount.bind = std::max(mount.bind, Bind::kTop);
  } else if (name == "rbind") {
    mount.bind = Bind::kTree;
  } else if (name == "tmpcopyup") {
    fixed.options |= RUNHV_MOUNT_TMPCOPYUP;
  } else if (name == "rro") {
    fixed.flags |= linux_abi::kMsRdonly;
    fixed.options |= RUNHV_MOUNT_RECURSIVE_READONLY;
  } else if (const auto option = linux_abi::find_mount_option(without_recursion(name))) {
    fixed.flags = (fixed.flags | option->set) & ~option->clear;
    if (option->propagation != 0) fixed.propagation = option->propagation;
  } else {
    if (!mount.spec.data.empty()) mount.spec.data += ',';
    mount.spec.data += name;
  }
}

bool names_user_namespace(const JsonNode& section) {
  return std::ranges::any_of(section["namespaces"].elements(), [](const JsonNode& node) {
    return node["type"].string() == "user" && !node["path"].string().empty();
  });
}

// `section`: linux, whose maps are meant where the mount has the option and none of its own.
void read_owners(const JsonNode& node, const JsonNode& section, const ReadMount& mount,
                 ShareSpec& share) {
  share.uid_map = read_id_map(node["uidMappings"]);
  share.gid_map = read_id_map(node["gidMappings"]);
  share.maps_tree = mount.mapped == Mapped::kTree;
  if (share.uid_map.empty() && share.gid_map.empty() && mount.mapped != Mapped::kNo) {
    if (names_user_namespace(section)) {
      node["options"].complain(
          "idmap needs mappings of the mount, as the user namespace is named by a path",
          Code::kUnsupported);
    }
    share.uid_map = read_id_map(section["uidMappings"]);
    share.gid_map = read_id_map(section["gidMappings"]);
    if (share.uid_map.empty()) {
      node["options"].complain("idmap needs mappings, of the mount or of a user namespace");
    }
  }
  if (share.uid_map.empty() != share.gid_map.empty()) {
    node.complain("uidMappings and gidMappings come together");
  } else if (!fits_into_a_write(share.uid_map) || !fits_into_a_write(share.gid_map)) {
    node.complain("its mappings are, as text, longer than the 4095 bytes that the kernel takes");
  }
}

void read_bind_mount(const JsonNode& node, ReadMount& mount, ContainerSpec& spec) {
  MountSpec& out = mount.spec;
  if (out.source.empty()) node["source"].complain("a bind mount needs one");
  out.data.clear();  // the kernel's rule of mount(2) for a bind mount
  if ((out.fixed.options & RUNHV_MOUNT_TMPCOPYUP) != 0) {
    node["options"].complain("tmpcopyup is for a tmpfs");
  }
  spec.shares.push_back({.path = out.source,
                         .read_only = (out.fixed.flags & linux_abi::kMsRdonly) != 0,
                         .cross_mounts = mount.bind == Bind::kTree});
  out.type = "bind";
  out.share = spec.shares.size() - 1;
  out.source = "/" + std::to_string(*out.share);
  out.fixed.options |= RUNHV_MOUNT_SHARE;
}

void read_mounts(const JsonNode& mounts, const JsonNode& section, ContainerSpec& spec) {
  static constexpr std::string_view kTypes[] = {"proc",   "sysfs",  "tmpfs",  "devpts",
                                                "mqueue", "cgroup", "cgroup2"};
  for (const JsonNode& node : mounts.elements()) {
    ReadMount mount;
    MountSpec& out = mount.spec;
    out.destination = node["destination"].required("a path").string();
    if (out.destination.empty()) node["destination"].complain("expected a path");
    // As the specification has it of old tools' configurations.
    if (!out.destination.starts_with('/')) out.destination.insert(0, "/");
    out.type = node["type"].string();
    out.source = node["source"].string();
    if (out.type == "bind") mount.bind = Bind::kTop;
    for (const JsonNode& option : node["options"].elements()) read_mount_option(option, mount);
    if (mount.bind != Bind::kNo) {
      read_bind_mount(node, mount, spec);
      read_owners(node, section, mount, spec.shares.back());
    } else if (std::ranges::find(kTypes, out.type) == std::end(kTypes)) {
      node["type"].complain(out.type.empty() || out.type == "none"
                                ? "expected a type, or the option bind or rbind"
                                : "a file system of type " + out.type + " is not in this version",
                            Code::kUnsupported);
    }
    if (out.source.empty()) out.source = out.type;
    if (mount.bind == Bind::kNo) {
      for (const char* name : {"uidMappings", "gidMappings"}) {
        refuse(node[name], "only of a bind mount owners can be mapped");
      }
      if (mount.mapped != Mapped::kNo) {
        node["options"].complain("only of a bind mount owners can be mapped", Code::kUnsupported);
      }
    }
    spec.mounts.push_back(std::move(out));
  }
}

void read_root(const JsonNode& root, ContainerSpec& spec) {
  const JsonNode section = root["root"];
  spec.root_read_only = section["readonly"].boolean();
  const JsonNode path = section["path"];
  const std::string folder = path.string();
  // A block image comes before the folder that the specification demands beside it.
  if (root["vm"]["image"].present()) return;
  path.required("the folder of the root file system, or its block image as vm.image");
  if (folder.empty()) path.complain("expected a path");
  // Read-only is the guest's mount: the places of other mounts are made in it before.
  spec.shares.push_back({.path = folder});
  spec.root_is_shared = true;
}

std::string host_name(const JsonNode& node) {
  std::string name = node.string();
  if (name.size() > linux_abi::kMaxHostNameBytes) node.complain("longer than 64 bytes");
  return name;
}

// What a container that joins another's machine has with the first one there.
constexpr std::uint32_t kJoined =
    linux_abi::kCloneNewnet | linux_abi::kCloneNewipc | linux_abi::kCloneNewuts;

void check_joined(const JsonNode& namespaces, const ContainerSpec& spec) {
  for (const std::uint32_t own : {linux_abi::kCloneNewpid, linux_abi::kCloneNewns}) {
    if ((spec.namespaces & own) != 0) continue;
    namespaces.complain(
        "a container that joins another's VM has namespaces of its own for pid and mount",
        Code::kUnsupported);
  }
}

void read_namespaces(const JsonNode& namespaces, Joins joins, ContainerSpec& spec) {
  static constexpr std::pair<std::string_view, std::uint32_t> kFlags[] = {
      {"pid", linux_abi::kCloneNewpid},       {"mount", linux_abi::kCloneNewns},
      {"uts", linux_abi::kCloneNewuts},       {"ipc", linux_abi::kCloneNewipc},
      {"cgroup", linux_abi::kCloneNewcgroup}, {"network", linux_abi::kCloneNewnet},
      {"user", linux_abi::kCloneNewuser},     {"time", linux_abi::kCloneNewtime}};
  std::vector<std::string> seen;
  for (const JsonNode& node : namespaces.elements()) {
    const std::string type = node["type"].required("a string").string();
    const auto* known =
        std::ranges::find(kFlags, type, [](const auto& pair) { return pair.first; });
    if (known == std::end(kFlags)) {
      node["type"].complain("unknown namespace " + type);
      continue;
    }
    if (std::ranges::find(seen, type) != seen.end()) {
      node["type"].complain("the namespace " + type + " is there twice");
      continue;
    }
    seen.push_back(type);
    if (type == "network" && !node["path"].string().empty()) {
      // The guest's first namespace has the interfaces.
      spec.network_namespace = host_path(node["path"]);
      continue;
    }
    if (type == "user" && !node["path"].string().empty()) {
      spec.user_namespace = host_path(node["path"]);
      spec.joins_users = joins == Joins::kMachine;
      spec.namespaces |= linux_abi::kCloneNewuser;
      continue;
    }
    if (joins == Joins::kMachine && (known->second & kJoined) != 0 &&
        !node["path"].string().empty()) {
      continue;
    }
    refuse_text(node["path"], joins == Joins::kMachine
                                  ? "it cannot be joined: those for network, ipc, uts and user can"
                                  : "joining a namespace is not possible: the container has its "
                                    "own VM");
    spec.namespaces |= known->second;
  }
  if (joins == Joins::kMachine) check_joined(namespaces, spec);
  // As podman and docker say --network host. A bundle with a block image was written for a VM: what
  // it shares is the guest's.
  if (spec.root_is_shared && !seen.empty() && std::ranges::find(seen, "network") == seen.end()) {
    namespaces.complain(
        "without a network namespace it asks for the host's network, which a "
        "container in a VM cannot have",
        Code::kUnsupported);
  }
}

// In runc's words where callers may look for them.
void check_id_map(const JsonNode& node, const IdMap& map, std::string_view id,
                  std::string_view who) {
  if (map.empty()) {
    node.complain("user namespaces enabled, but no " + std::string(id) + " mappings found");
  } else if (!maps(map, 0)) {
    node.complain("user namespaces enabled, but no " + std::string(who) +
                  " mapping found for root");
  } else if (!fits_into_a_write(map)) {
    node.complain("as text it is longer than the 4095 bytes that the kernel takes");
  }
}

void read_users(const JsonNode& section, Joins joins, ContainerSpec& spec) {
  constexpr std::uint32_t kSeen = linux_abi::kCloneNewpid | linux_abi::kCloneNewns;
  constexpr std::uint32_t kUnseen = linux_abi::kCloneNewuts | linux_abi::kCloneNewipc |
                                    linux_abi::kCloneNewnet | linux_abi::kCloneNewcgroup;
  const JsonNode uids = section["uidMappings"];
  const JsonNode gids = section["gidMappings"];
  // What is written beside a path are placeholders.
  const bool is_named = !spec.user_namespace.empty();
  if (!is_named) {
    spec.uid_map = read_id_map(uids);
    spec.gid_map = read_id_map(gids);
  }
  const JsonNode namespaces = section["namespaces"];
  if ((spec.namespaces & linux_abi::kCloneNewuser) == 0) {
    if (!spec.uid_map.empty() || !spec.gid_map.empty()) {
      namespaces.complain(
          "user namespace mappings specified, but USER namespace isn't enabled in the config");
    }
    return;
  }
  if (!is_named) {
    check_id_map(uids, spec.uid_map, "uid", "user");
    check_id_map(gids, spec.gid_map, "gid", "group");
  }
  if ((spec.namespaces & kSeen) != kSeen) {
    namespaces.complain(
        "with a user namespace a container has namespaces of its own for pid and mount",
        Code::kUnsupported);
  }
  if (spec.joins_users) {
    // Of the first one, as those that it shares.
    spec.namespaces |= linux_abi::kCloneNewcgroup;
    return;
  }
  if (joins == Joins::kMachine && (spec.namespaces & kJoined) != kJoined) {
    namespaces.complain(
        "a container that joins another's VM has a user namespace only with those of its own for "
        "network, ipc and uts",
        Code::kUnsupported);
  }
  // The guest's own would be those of somebody whom its root may not speak for.
  spec.namespaces |= kUnseen;
}

void read_devices(const JsonNode& devices, ContainerSpec& spec) {
  for (const JsonNode& node : devices.elements()) {
    DeviceSpec device;
    device.path = guest_path(node["path"].required("an absolute path"));
    const std::string type = node["type"].required("c, b or p").string();
    std::uint32_t format = 0;
    if (type == "c" || type == "u") {
      format = linux_abi::kSIfchr;
    } else if (type == "b") {
      format = linux_abi::kSIfblk;
    } else if (type == "p") {
      format = linux_abi::kSIfifo;
    } else {
      node["type"].complain("expected c, b or p");
    }
    const JsonNode mode = node["fileMode"];
    const std::uint64_t permissions = mode.present() ? mode.unsigned_integer(0, 0xffff) : 0666;
    device.fixed.mode = format | (static_cast<std::uint32_t>(permissions) & 07777u);
    if (format != linux_abi::kSIfifo) {
      // Bounds of dev_t in the kernel: 12 bits and 20 bits.
      node["major"].required("an integer");
      node["minor"].required("an integer");
      device.fixed.major = static_cast<std::uint32_t>(node["major"].unsigned_integer(0, 0xfff));
      device.fixed.minor = static_cast<std::uint32_t>(node["minor"].unsigned_integer(0, 0xfffff));
    }
    device.fixed.uid = static_cast<std::uint32_t>(node["uid"].unsigned_integer(0, UINT32_MAX - 1));
    device.fixed.gid = static_cast<std::uint32_t>(node["gid"].unsigned_integer(0, UINT32_MAX - 1));
    spec.devices.push_back(std::move(device));
  }
}

std::uint32_t root_propagation(const JsonNode& node) {
  const std::string name = node.string();
  if (name.empty()) return 0;
  const auto option = linux_abi::find_mount_option(name);
  if (!option || option->propagation == 0) {
    node.complain("expected shared, slave, private or unbindable, with or without an r before");
    return 0;
  }
  return static_cast<std::uint32_t>(option->propagation);
}

void read_time_offset(const JsonNode& node, std::int64_t& seconds, std::uint32_t& nanoseconds) {
  seconds = node["secs"].signed_integer(INT64_MIN, INT64_MAX);
  nanoseconds = static_cast<std::uint32_t>(node["nanosecs"].unsigned_integer(0, 999'999'999));
}

void read_time_offsets(const JsonNode& node, ContainerSpec& spec) {
  if (!node.present()) return;
  if ((spec.namespaces & linux_abi::kCloneNewtime) == 0) {
    node.complain("expected the time namespace beside it, in linux.namespaces");
  }
  for (const auto& [clock, offset] : node.members()) {
    if (clock != "monotonic" && clock != "boottime") offset.complain("unknown clock");
  }
  runhv_time_offsets offsets{};
  read_time_offset(node["monotonic"], offsets.monotonic_seconds, offsets.monotonic_nanoseconds);
  read_time_offset(node["boottime"], offsets.boottime_seconds, offsets.boottime_nanoseconds);
  spec.time_offsets = offsets;
}

// The namespace that a kernel parameter is of; 0 = the guest's kernel's.
std::uint32_t namespace_of(std::string_view parameter) {
  static constexpr std::string_view kIpc[] = {
      "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
      "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"};
  if (parameter == "kernel.domainname") return linux_abi::kCloneNewuts;
  const bool is_ipc =
      parameter.starts_with("fs.mqueue.") || std::ranges::find(kIpc, parameter) != std::end(kIpc);
  return is_ipc ? linux_abi::kCloneNewipc : 0;
}

// sysctl(8): whichever of . and / comes first is what separates, and the other stands for itself.
std::string with_dots(std::string name) {
  const std::size_t first = name.find_first_of("./");
  if (first == std::string::npos || name[first] == '.') return name;
  for (char& c : name) c = c == '/' ? '.' : c == '.' ? '/' : c;
  return name;
}

// The agent's rule: no part of the path is empty, . or .., as / stands for a dot.
bool is_parameter(std::string_view name) {
  bool after_name = false;
  for (const char c : name) {
    const bool separates = c == '.' || c == '/';
    if (separates && !after_name) return false;
    after_name = !separates;
  }
  return after_name;
}

void read_sysctls(const JsonNode& sysctls, Joins joins, ContainerSpec& spec) {
  for (const auto& [name, node] : sysctls.members()) {
    spec.sysctls.emplace_back(with_dots(name), node.string());
    const std::string& parameter = spec.sysctls.back().first;
    if (!is_parameter(parameter)) node.complain("expected a name such as net.ipv4.ip_forward");
    if (parameter == "kernel.hostname") node.complain("expected it as hostname of config.json");
    // As with the network: who wrote it for a host means the host's.
    const std::uint32_t needed = namespace_of(parameter);
    if (joins == Joins::kNothing && spec.root_is_shared && (spec.namespaces & needed) != needed) {
      node.complain("it is the host's without a namespace of its own, in linux.namespaces");
    }
  }
}

void read_linux(const JsonNode& section, Joins joins, ContainerSpec& spec) {
  read_namespaces(section["namespaces"], joins, spec);
  read_users(section, joins, spec);
  read_devices(section["devices"], spec);
  spec.masked_paths = guest_paths(section["maskedPaths"]);
  spec.read_only_paths = guest_paths(section["readonlyPaths"]);
  read_sysctls(section["sysctl"], joins, spec);
  spec.root_propagation = root_propagation(section["rootfsPropagation"]);
  // Of the host: where the VMM's own cgroup is to be. The verb that makes it reads it there.
  (void)section["cgroupsPath"].string();
  // Whoever names either is one who may update it.
  if (const JsonNode resources = section["resources"];
      resources.present() || section["cgroupsPath"].present()) {
    spec.cgroup = read_cgroup_settings(resources);
  }
  refuse(section["intelRdt"], "not in this version");
  read_time_offsets(section["timeOffsets"], spec);
  refuse(section["netDevices"], "not in this version");
  (void)section["mountLabel"].string();  // as the process's selinuxLabel
}

void read_start_hooks(const JsonNode& list, ContainerSpec& spec) {
  for (const JsonNode& node : list.elements()) {
    HookSpec& hook = spec.start_hooks.emplace_back();
    hook.path = guest_path(node["path"].required("an absolute path"));
    hook.arguments = node["args"].strings();
    hook.environment = read_environment(node["env"]);
    hook.timeout_seconds =
        static_cast<std::uint32_t>(node["timeout"].unsigned_integer(1, INT32_MAX));
  }
}

void read_files(const Annotations& annotations, ContainerSpec& spec) {
  if (annotations.choice("etc", {"none", "docker"}, "none") == "docker") add_etc(spec);
  const auto volumes = annotations.find("volumes");
  if (!volumes) return;
  for (std::string& path : lines(volumes->value)) {
    if (!path.starts_with('/')) {
      volumes->node.complain("expected absolute paths, one a line");
      return;
    }
    spec.files.push_back(
        {{linux_abi::kSIfdir | 0755u, RUNHV_FILE_IF_MISSING}, std::move(path), ""});
  }
}

}  // namespace

void read_container(const JsonNode& root, const Annotations& annotations, Joins joins,
                    ContainerSpec& spec) {
  read_root(root, spec);
  spec.hostname = host_name(root["hostname"]);
  spec.domainname = host_name(root["domainname"]);
  read_mounts(root["mounts"], root["linux"], spec);
  read_linux(root["linux"], joins, spec);
  for (const auto& [name, list] : root["hooks"].members()) {
    if (name == "startContainer") {
      read_start_hooks(list, spec);
    } else {
      spec.has_host_hooks = spec.has_host_hooks || !list.elements().empty();
    }
  }
  spec.root_type = annotations.choice("rootfs.type", {"erofs", "ext4"}, "erofs");
  read_files(annotations, spec);
}

}  // namespace runhv::container
