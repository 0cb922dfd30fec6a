// The containers of the guest: what the agent keeps of each, and whose namespaces its children are
// put into.
#pragma once

#include <sched.h>

#include <cstddef>
#include <cstdint>

#include "failure.h"
#include "request.h"
#include "runhv_agent.h"
#include "users.h"

namespace runhv::agent {

// From CONTAINER, or from the PREPARE of its first process, to the end of that.
struct Container {
  std::uint32_t number = 0;  // its first process's
  ContainerRequest request;  // until its first process is in place
  std::uint32_t namespaces = 0;
  std::uint32_t joined_namespaces = 0;  // of the first container's
  Users users;                          // where it has a user namespace
  bool in_cgroup = false;
  int device_filter = -1;  // its program, where there is one
  int pid = -1;            // of its first process, once that runs
  int pidfd = -1;          // the same; made where it is wanted

  // Those of its request. The records go before the container does.
  void set_users() {
    users.uids.set(request.uid_map);
    users.gids.set(request.gid_map);
  }
  bool has_users() const { return ((namespaces | joined_namespaces) & CLONE_NEWUSER) != 0; }
  std::uint32_t namespaces_to_join() const {
    // A process cannot change its own pid namespace, and nobody who shares the agent's memory its
    // clocks.
    return (namespaces | joined_namespaces) & ~std::uint32_t{CLONE_NEWPID | CLONE_NEWTIME};
  }
  bool open_first_process(Failure& failure);
  // Makes its cgroup, and the program that says which devices are there.
  bool make_cgroup(Failure& failure);
  bool set_resources(const ResourcesRequest& resources, Failure& failure);
};

class Containers {
 public:
  Container& first() { return first_; }
  bool has_others() const;
  Container* find(std::uint32_t number);
  // Null where there is no room.
  Container* add(std::uint32_t number);
  // Not the first, which ends with the machine.
  void forget(std::uint32_t number);

  // Keeps the first one's namespaces open for good, for they end with the machine: the kernel takes
  // mounts, interfaces and queues apart for longer than many a program runs. What outlives the
  // machine is with the host by then: the guest writes no shared file later, and a mapping of one
  // when it goes. A kernel before 6.11 does not know of this.
  void keep_namespaces();

  // What a container beside the first one needs of the agent.
  bool join_first(Container& container, Failure& failure);
  // What every process but the first of a container needs of the agent.
  bool join(Container& container, const ProcessRequest& request, Failure& failure);

 private:
  static constexpr std::uint32_t kAgent = UINT32_MAX;  // no container's number

  bool choose_pid_namespace(const Container* container, Failure& failure);

  Container first_;
  Container* others_[RUNHV_MAX_CONTAINERS - 1] = {};
  std::uint32_t children_in_ = kAgent;  // the container whose pid namespace children are put into
};

// The agent's own /proc, on an initramfs that holds nothing else of this name. 0 or a negative
// errno.
long mount_proc();

}  // namespace runhv::agent
