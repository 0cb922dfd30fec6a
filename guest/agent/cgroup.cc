#include "cgroup.h"

#include <poll.h>

#include "sys.h"

namespace runhv::agent {
namespace {

constexpr char kHierarchy[] = "/cgroup";
constexpr char kControllers[] = "/cgroup/cgroup.subtree_control";
constexpr timespec kFreezePatience = {1, 0};  // for each of its processes that is on its way
constexpr int kFreezeTurns = 4;

long write_file(const char* path, std::string_view value) {
  const int file = sys::open(path, O_WRONLY);
  if (file < 0) return file;
  const long result = sys::write(file, value.data(), value.size());
  sys::close(file);
  return result < 0 ? result : 0;
}

Text<256> folder_of(std::uint32_t number) {
  return Text<256>(kHierarchy).add("/container-").add_number(number);
}

// The kernel stops a process where it would go on in its program: what waits in the kernel may keep
// it. cgroup.events is readable with POLLPRI once it has changed (cgroups(7)).
long wait_until_frozen(std::uint32_t number) {
  const int file = sys::open(folder_of(number).add("/cgroup.events").c_str(), O_RDONLY);
  if (file < 0) return file;
  long result = -ETIMEDOUT;
  for (int turn = 0; turn < kFreezeTurns && result == -ETIMEDOUT; ++turn) {
    char text[128];
    sys::lseek(file, 0, SEEK_SET);
    const long size = sys::read(file, text, sizeof text);
    if (size < 0) result = size;
    if (size > 0 && std::string_view(text, static_cast<std::size_t>(size)).find("frozen 1") !=
                        std::string_view::npos) {
      result = 0;
    }
    pollfd changed = {file, POLLPRI, 0};
    if (result == -ETIMEDOUT && sys::ppoll(&changed, 1, &kFreezePatience) == 0) break;
  }
  sys::close(file);
  return result;
}

bool mount_hierarchy(Failure& failure) {
  long result = sys::mkdir(kHierarchy, 0700);
  if (result == -EEXIST) return true;
  if (result == 0) result = sys::mount("cgroup2", kHierarchy, "cgroup2", 0, nullptr);
  if (result < 0) return failure.set(result, "mount the guest's cgroups");
  // Which of them a kernel has is for the files to say.
  for (const char* controller : {"+cpu", "+cpuset", "+io", "+memory", "+pids"}) {
    write_file(kControllers, controller);
  }
  return true;
}

}  // namespace

bool make_cgroup(std::uint32_t number, const ContainerRequest& container, Failure& failure) {
  if (!mount_hierarchy(failure)) return false;
  const long result = sys::mkdir(folder_of(number).c_str(), 0755);
  if (result < 0) return failure.set(result, "make the container's cgroup");
  return set_cgroup_files(number, container.records, failure);
}

void remove_cgroup(std::uint32_t number) {
  sys::unlinkat(AT_FDCWD, folder_of(number).c_str(), AT_REMOVEDIR);
}

bool set_cgroup_files(std::uint32_t number, std::span<const std::byte> records, Failure& failure) {
  return for_each(records, RUNHV_REC_CGROUP_FILE, [&](const Record& record) {
    CgroupFileRecord file;
    decode(record, file);
    const Text<256> path = folder_of(number).add("/").add(file.name);
    long result = path.cut() ? -ENAMETOOLONG : write_file(path.c_str(), file.value);
    const bool freezes =
        std::string_view(file.name) == "cgroup.freeze" && std::string_view(file.value) == "1";
    if (result == 0 && freezes) {
      result = wait_until_frozen(number);
      if (result < 0) write_file(path.c_str(), "0");
    }
    if (result == 0) return true;
    return failure.set(result, "set ", file.name, " of the container's cgroup");
  });
}

int open_cgroup(std::uint32_t number) {
  return sys::open(folder_of(number).c_str(), O_RDONLY | O_DIRECTORY);
}

bool enter_cgroup(std::uint32_t number, bool own_namespace, Failure& failure) {
  long result = write_file(folder_of(number).add("/cgroup.procs").c_str(), "0");
  if (result < 0) return failure.set(result, "enter the container's cgroup");
  if (own_namespace) result = sys::unshare(CLONE_NEWCGROUP);
  return result == 0 || failure.set(result, "make the container's cgroup namespace");
}

}  // namespace runhv::agent
