#include "containers.h"

#include <sys/ioctl.h>

#include <new>

#include "cgroup.h"
#include "device_filter.h"
#include "sys.h"

namespace runhv::agent {
namespace {

// linux/pidfd.h, since Linux 6.11.
constexpr unsigned long kPidfdGetIpcNamespace = _IO(0xff, 2);
constexpr unsigned long kPidfdGetMountNamespace = _IO(0xff, 3);
constexpr unsigned long kPidfdGetNetworkNamespace = _IO(0xff, 4);

bool change_device_filter(Container& container, std::span<const std::byte> records,
                          Failure& failure) {
  const int program = load_device_filter(records, failure);
  if (program < 0) return false;
  const int cgroup = open_cgroup(container.number);
  const bool done = cgroup < 0
                        ? failure.set(cgroup, "open the container's cgroup")
                        : attach_device_filter(cgroup, program, container.device_filter, failure);
  if (cgroup >= 0) sys::close(cgroup);
  const int unused = done ? container.device_filter : program;
  if (done) container.device_filter = program;
  if (unused >= 0) sys::close(unused);
  return done;
}

}  // namespace

bool Container::open_first_process(Failure& failure) {
  if (pidfd < 0) pidfd = sys::pidfd_open(pid);
  return pidfd >= 0 || failure.set(pidfd, "open the container's first process");
}

bool Container::make_cgroup(Failure& failure) {
  in_cgroup = true;
  if (!agent::make_cgroup(number, request, failure)) return false;
  if (request.device_rule_count == 0) return true;
  device_filter = load_device_filter(request.records, failure);
  return device_filter >= 0;
}

bool Container::set_resources(const ResourcesRequest& resources, Failure& failure) {
  if (!in_cgroup) return failure.set(-ENOENT, "the container has no cgroup");
  return set_cgroup_files(number, resources.records, failure) &&
         (resources.device_rule_count == 0 ||
          change_device_filter(*this, resources.records, failure));
}

bool Containers::has_others() const {
  for (const Container* container : others_) {
    if (container != nullptr) return true;
  }
  return false;
}

Container* Containers::find(std::uint32_t number) {
  if (number == 0) return &first_;
  for (Container* container : others_) {
    if (container != nullptr && container->number == number) return container;
  }
  return nullptr;
}

Container* Containers::add(std::uint32_t number) {
  for (Container*& place : others_) {
    if (place != nullptr) continue;
    void* memory = sys::map(sizeof(Container));
    if (sys::map_failed(memory)) return nullptr;
    place = new (memory) Container;
    place->number = number;
    return place;
  }
  return nullptr;
}

void Containers::forget(std::uint32_t number) {
  for (Container*& place : others_) {
    if (place == nullptr || place->number != number) continue;
    if (place->device_filter >= 0) sys::close(place->device_filter);
    if (place->in_cgroup) remove_cgroup(number);
    if (place->pidfd >= 0) sys::close(place->pidfd);
    sys::unmap(place, sizeof(Container));
    place = nullptr;
  }
}

void Containers::keep_namespaces() {
  Failure failure;
  if (!first_.open_first_process(failure)) return;
  for (const unsigned long which :
       {kPidfdGetIpcNamespace, kPidfdGetMountNamespace, kPidfdGetNetworkNamespace}) {
    sys::ioctl(first_.pidfd, which, nullptr);
  }
}

// A process cannot change its own pid namespace, but that of its children. Null: the agent's.
bool Containers::choose_pid_namespace(const Container* container, Failure& failure) {
  const std::uint32_t wanted = container == nullptr ? kAgent : container->number;
  if (children_in_ == wanted) return true;
  const int process = container == nullptr ? sys::pidfd_open(1) : container->pidfd;
  const long result = process < 0 ? process : sys::setns(process, CLONE_NEWPID);
  if (container == nullptr && process >= 0) sys::close(process);
  if (result < 0) return failure.set(result, "join the container's pid namespace");
  children_in_ = wanted;
  return true;
}

bool Containers::join_first(Container& container, Failure& failure) {
  constexpr std::uint32_t kShared = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
  container.namespaces = container.request.namespaces;
  container.set_users();
  container.joined_namespaces = first_.namespaces & kShared & ~container.namespaces;
  if ((container.namespaces & CLONE_NEWUSER) != 0 && container.request.uid_map.empty()) {
    if (!first_.has_users()) {
      return failure.set(-EINVAL, "join the first container's user namespace: it has none");
    }
    container.users = first_.users;
    container.namespaces &= ~std::uint32_t{CLONE_NEWUSER};
    container.joined_namespaces |= CLONE_NEWUSER;
  }
  if ((container.namespaces & CLONE_NEWNS) == 0 || (container.namespaces & CLONE_NEWPID) == 0) {
    return failure.set(-EINVAL, "expected namespaces of its own for mounts and pids");
  }
  return first_.open_first_process(failure) && choose_pid_namespace(nullptr, failure);
}

bool Containers::join(Container& container, const ProcessRequest& request, Failure& failure) {
  // Nobody in the container may trace an archiver, which has more rights than it.
  const bool has_pids = (container.namespaces & CLONE_NEWPID) != 0 && !request.is_archive();
  if (!container.open_first_process(failure) ||
      !choose_pid_namespace(has_pids ? &container : nullptr, failure)) {
    return false;
  }
  if (!request.has_oom_score_adj && !container.request.has_time_offsets) return true;
  const long result = mount_proc();
  return result == 0 || failure.set(result, "mount proc on /proc of the agent");
}

long mount_proc() {
  static bool is_mounted = false;
  if (is_mounted) return 0;
  const long result = sys::mount("proc", "/proc", "proc", 0, nullptr);
  is_mounted = result == 0;
  return result;
}

}  // namespace runhv::agent
