// The container's cgroup in the guest: cgroups(7), version 2.
#pragma once

#include "failure.h"
#include "request.h"

namespace runhv::agent {

// On the agent's own file system, which no container sees.
bool make_cgroup(const ContainerRequest& container, Failure& failure);

// What the records CGROUP_FILE say, in their order; none after the first that fails.
bool set_cgroup_files(std::span<const std::byte> records, Failure& failure);

// The caller becomes one of its processes; with `own_namespace` it is the root of what that sees.
bool enter_cgroup(bool own_namespace, Failure& failure);

}  // namespace runhv::agent
