#include "cgroup.h"

#include "sys.h"

namespace runhv::agent {
namespace {

constexpr char kHierarchy[] = "/cgroup";
constexpr char kControllers[] = "/cgroup/cgroup.subtree_control";
constexpr char kContainer[] = "/cgroup/container";
constexpr char kProcesses[] = "/cgroup/container/cgroup.procs";

long write_file(const char* path, std::string_view value) {
  const int file = sys::open(path, O_WRONLY);
  if (file < 0) return file;
  const long result = sys::write(file, value.data(), value.size());
  sys::close(file);
  return result < 0 ? result : 0;
}

}  // namespace

bool make_cgroup(const ContainerRequest& container, Failure& failure) {
  long result = sys::mkdir(kHierarchy, 0700);
  if (result == 0) result = sys::mount("cgroup2", kHierarchy, "cgroup2", 0, nullptr);
  if (result < 0) return failure.set(result, "mount the guest's cgroups");
  // Which of them a kernel has is for the files to say.
  for (const char* controller : {"+cpu", "+cpuset", "+io", "+memory", "+pids"}) {
    write_file(kControllers, controller);
  }
  result = sys::mkdir(kContainer, 0755);
  if (result < 0) return failure.set(result, "make the container's cgroup");
  return set_cgroup_files(container.records, failure);
}

bool set_cgroup_files(std::span<const std::byte> records, Failure& failure) {
  return for_each(records, RUNHV_REC_CGROUP_FILE, [&](const Record& record) {
    CgroupFileRecord file;
    decode(record, file);
    const Text<256> path = Text<256>(kContainer).add("/").add(file.name);
    const long result = path.cut() ? -ENAMETOOLONG : write_file(path.c_str(), file.value);
    if (result == 0) return true;
    return failure.set(result, "set ", file.name, " of the container's cgroup");
  });
}

bool enter_cgroup(bool own_namespace, Failure& failure) {
  long result = write_file(kProcesses, "0");
  if (result < 0) return failure.set(result, "enter the container's cgroup");
  if (own_namespace) result = sys::unshare(CLONE_NEWCGROUP);
  return result == 0 || failure.set(result, "make the container's cgroup namespace");
}

}  // namespace runhv::agent
