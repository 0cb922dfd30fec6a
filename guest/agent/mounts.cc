#include "mounts.h"

#include <linux/mount.h>
#include <string.h>

#include <optional>

#include "copy_up.h"
#include "paths.h"
#include "sys.h"

namespace runhv::agent {
namespace {

constexpr char kNodes[] = "/nodes";  // made where a container needs it
constexpr std::uint64_t kPropagation = MS_SHARED | MS_SLAVE | MS_PRIVATE | MS_UNBINDABLE;

bool equal(const char* a, const char* b) { return strcmp(a, b) == 0; }
const char* or_null(const char* text) { return text[0] == '\0' ? nullptr : text; }

// Filled by us after the mount: it must stay writable until finish_mounts.
bool read_only_later(const MountRecord& mount) {
  return equal(mount.type, "tmpfs") && (mount.how.flags & MS_RDONLY) != 0;
}

// A file, or a directory, to bind one of its kind to.
long make_place(const char* path, bool directory) {
  if (directory) return make_directories(path);
  struct stat status;
  long result = sys::fstatat(AT_FDCWD, path, &status, 0);
  if (result == 0) return S_ISDIR(status.st_mode) ? -EISDIR : 0;
  return make_empty_file(path);
}

long bind(int folder, const char* name, const char* destination) {
  const int tree = sys::open_tree(folder, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0) return tree;
  struct stat status;
  long result = sys::fstatat(tree, "", &status, AT_EMPTY_PATH);
  if (result == 0) result = make_place(destination, S_ISDIR(status.st_mode));
  if (result == 0) result = sys::move_mount(tree, destination);
  sys::close(tree);
  return result;
}

long bind_share(const MountRecord& mount, int shares) {
  // Without its first slash: below the shares.
  long result = bind(shares, mount.source + 1, mount.destination);
  // The flags of a bind mount count only when it is mounted again.
  if (result == 0 && mount.how.flags != 0) {
    result = sys::mount(nullptr, mount.destination, nullptr, mount.how.flags | MS_REMOUNT | MS_BIND,
                        nullptr);
  }
  return result;
}

long set_propagation(const MountRecord& mount) {
  if (mount.how.propagation == 0) return 0;
  if ((mount.how.propagation & kPropagation) == 0) return -EINVAL;
  return sys::mount(nullptr, mount.destination, nullptr, mount.how.propagation, nullptr);
}

bool make_bind_mount(const MountRecord& mount, int shares, Failure& failure) {
  long result = bind_share(mount, shares);
  if (result < 0) return failure.set(result, "bind mount on ", mount.destination);
  result = set_propagation(mount);
  return result == 0 || failure.set(result, "set the propagation of ", mount.destination);
}

// Of a tmpfs that names none, as with runc: that of the folder which it hides; with none, the
// kernel's own.
std::optional<std::uint32_t> mode_of_hidden(const MountRecord& mount) {
  struct stat status;
  if (!equal(mount.type, "tmpfs") ||
      std::string_view(mount.data).find("mode=") != std::string_view::npos ||
      sys::fstatat(AT_FDCWD, mount.destination, &status, 0) < 0) {
    return std::nullopt;
  }
  return status.st_mode & 07777;
}

bool make_mount(const MountRecord& mount, Failure& failure) {
  const bool copy_up = (mount.how.options & RUNHV_MOUNT_TMPCOPYUP) != 0;
  // The kernel has no controllers of cgroup v1; like other runtimes, take v2 for both.
  const bool cgroup = equal(mount.type, "cgroup");
  const char* type = cgroup ? "cgroup2" : mount.type;
  const auto fail = [&](long result, const char* step) {
    Text<64> text(step);
    return failure.set(result, text.add(mount.type).add(" on ").view(), mount.destination);
  };

  const std::optional<std::uint32_t> mode = mode_of_hidden(mount);
  long result = make_directories(mount.destination);
  if (result < 0) return fail(result, "make the mount point of ");
  int below = -1;
  if (copy_up) {
    below = sys::open(mount.destination, O_RDONLY | O_DIRECTORY);
    if (below < 0) return fail(below, "open what lies below ");
  }
  std::uint64_t flags = mount.how.flags;
  if (read_only_later(mount)) flags &= ~std::uint64_t{MS_RDONLY};
  result = sys::mount(mount.source[0] == '\0' ? type : mount.source, mount.destination, type, flags,
                      cgroup ? nullptr : or_null(mount.data));
  if (result < 0) return fail(result, "mount ");
  if (mode) result = sys::fchmodat(AT_FDCWD, mount.destination, *mode);
  if (result < 0) return fail(result, "set the mode of ");
  if (copy_up) {
    const int above = sys::open(mount.destination, O_RDONLY | O_DIRECTORY);
    result = above < 0 ? above : copy_tree(below, above);
    sys::close(below);
    sys::close(above);
    if (result < 0) return fail(result, "copy up into ");
  }
  result = set_propagation(mount);
  return result == 0 || fail(result, "set the propagation of ");
}

long set_read_only(const char* path) {
  mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  return sys::mount_setattr(AT_FDCWD, path, AT_RECURSIVE, &attributes, sizeof attributes);
}

struct DefaultDevice {
  const char* path;
  std::uint32_t major, minor;
};
constexpr DefaultDevice kDefaultDevices[] = {
    {"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
    {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
};
struct DefaultLink {
  const char* target;
  const char* path;
};
constexpr DefaultLink kDefaultLinks[] = {
    {"/proc/self/fd", "/dev/fd"},       {"/proc/self/fd/0", "/dev/stdin"},
    {"/proc/self/fd/1", "/dev/stdout"}, {"/proc/self/fd/2", "/dev/stderr"},
    {"pts/ptmx", "/dev/ptmx"},
};

long mask(const char* path) {
  long result = sys::mount("/dev/null", path, nullptr, MS_BIND, nullptr);
  if (result == -ENOTDIR) result = sys::mount("tmpfs", path, "tmpfs", MS_RDONLY, "size=0");
  return result == -ENOENT ? 0 : result;
}

long make_read_only(const char* path) {
  const long result = sys::mount(path, path, nullptr, MS_BIND | MS_REC, nullptr);
  if (result == -ENOENT) return 0;
  return result < 0 ? result : set_read_only(path);
}

}  // namespace

bool make_mounts(const ContainerRequest& container, int shares, Failure& failure) {
  return for_each(container.records, RUNHV_REC_MOUNT, [&](const Record& record) {
    MountRecord mount;
    decode(record, mount);
    return (mount.how.options & RUNHV_MOUNT_SHARE) != 0 ? make_bind_mount(mount, shares, failure)
                                                        : make_mount(mount, failure);
  });
}

// Calls `act(path, device)` for each device of the container: those that were asked for come first.
template <typename Act>
bool for_each_device(const ContainerRequest& container, Act act) {
  const bool done = for_each(container.records, RUNHV_REC_DEVICE, [&](const Record& record) {
    DeviceRecord device;
    decode(record, device);
    return act(device.path, device.what);
  });
  if (!done) return false;
  for (const DefaultDevice& device : kDefaultDevices) {
    const runhv_device what = {S_IFCHR | 0666, device.major, device.minor, 0, 0, 0};
    if (!act(device.path, what)) return false;
  }
  return true;
}

bool make_nodes(const ContainerRequest& container, const Users& users, Failure& failure) {
  sys::mkdir(kNodes, 0700);  // another container may have made it
  const long result = sys::mount("tmpfs", kNodes, "tmpfs", 0, "mode=755");
  if (result < 0) return failure.set(result, "mount tmpfs for devices");
  std::uint64_t number = 0;
  return for_each_device(container, [&](const char* path, const runhv_device& device) {
    const long made =
        make_node(Text<64>(kNodes).add("/").add_number(number++).c_str(), device.mode, device.major,
                  device.minor, users.uids.outside(device.uid), users.gids.outside(device.gid));
    return made == 0 || failure.set(made, "make device ", path);
  });
}

bool open_nodes(int& nodes, Failure& failure) {
  nodes = sys::open(kNodes, O_PATH | O_DIRECTORY);
  return nodes >= 0 || failure.set(nodes, "open the devices");
}

bool make_devices(const ContainerRequest& container, int nodes, Failure& failure) {
  std::uint64_t number = 0;
  const bool made = for_each_device(container, [&](const char* path, const runhv_device& device) {
    const long result =
        nodes < 0 ? make_node(path, device.mode, device.major, device.minor, device.uid, device.gid)
                  : bind(nodes, Text<24>().add_number(number++).c_str(), path);
    return result == 0 || failure.set(result, "make device ", path);
  });
  if (!made) return false;
  for (const DefaultLink& link : kDefaultLinks) {
    const long result = make_link(link.target, link.path);
    if (result < 0) return failure.set(result, "make link ", link.path);
  }
  return true;
}

bool finish_mounts(const ContainerRequest& container, Failure& failure) {
  return for_each(container.records, RUNHV_REC_MOUNT, [&](const Record& record) {
    MountRecord mount;
    decode(record, mount);
    const bool recursive = (mount.how.options & RUNHV_MOUNT_RECURSIVE_READONLY) != 0;
    if (!recursive && !read_only_later(mount)) return true;
    const long result = set_read_only(mount.destination);
    return result == 0 || failure.set(result, "make read-only ", mount.destination);
  });
}

bool hide_paths(const ContainerRequest& container, Failure& failure) {
  return for_each(container.records, RUNHV_REC_READONLY,
                  [&](const Record& record) {
                    const long result = make_read_only(record.text());
                    return result == 0 || failure.set(result, "make read-only ", record.text());
                  }) &&
         for_each(container.records, RUNHV_REC_MASKED, [&](const Record& record) {
           const long result = mask(record.text());
           return result == 0 || failure.set(result, "mask ", record.text());
         });
}

}  // namespace runhv::agent
