#include "mounts.h"

#include <linux/mount.h>
#include <string.h>

#include "copy_up.h"
#include "paths.h"
#include "sys.h"

namespace runhv::agent {
namespace {

constexpr std::uint64_t kPropagation = MS_SHARED | MS_SLAVE | MS_PRIVATE | MS_UNBINDABLE;

bool equal(const char* a, const char* b) { return strcmp(a, b) == 0; }
const char* or_null(const char* text) { return text[0] == '\0' ? nullptr : text; }

// Filled by us after the mount: it must stay writable until finish_mounts.
bool read_only_later(const MountRecord& mount) {
  return equal(mount.type, "tmpfs") && (mount.how.flags & MS_RDONLY) != 0;
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
  if (copy_up) {
    const int above = sys::open(mount.destination, O_RDONLY | O_DIRECTORY);
    result = above < 0 ? above : copy_tree(below, above);
    sys::close(below);
    sys::close(above);
    if (result < 0) return fail(result, "copy up into ");
  }
  if (mount.how.propagation != 0) {
    result = (mount.how.propagation & kPropagation) == 0
                 ? -EINVAL
                 : sys::mount(nullptr, mount.destination, nullptr, mount.how.propagation, nullptr);
    if (result < 0) return fail(result, "set the propagation of ");
  }
  return true;
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

bool make_mounts(const ContainerRequest& container, Failure& failure) {
  return for_each(container.records, RUNHV_REC_MOUNT, [&](const Record& record) {
    MountRecord mount;
    return decode(record, mount) && make_mount(mount, failure);
  });
}

bool make_devices(const ContainerRequest& container, Failure& failure) {
  const bool made = for_each(container.records, RUNHV_REC_DEVICE, [&](const Record& record) {
    DeviceRecord device;
    decode(record, device);
    const runhv_device& what = device.what;
    const long result =
        make_node(device.path, what.mode, what.major, what.minor, what.uid, what.gid);
    return result == 0 || failure.set(result, "make device ", device.path);
  });
  if (!made) return false;
  for (const DefaultDevice& device : kDefaultDevices) {
    const long result = make_node(device.path, S_IFCHR | 0666, device.major, device.minor, 0, 0);
    if (result < 0) return failure.set(result, "make device ", device.path);
  }
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
