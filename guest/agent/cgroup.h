// A container's cgroup in the guest: cgroups(7), version 2. `number` is the container's.
#pragma once

#include "failure.h"
#include "request.h"

namespace runhv::agent {

// On the agent's own file system, which no container sees.
bool make_cgroup(std::uint32_t number, const ContainerRequest& container, Failure& failure);
// Once its last process has been reaped.
void remove_cgroup(std::uint32_t number);

// What the records CGROUP_FILE say, in their order; none after the first that fails. After
// cgroup.freeze its processes stand still, or go on where one of them does not within seconds.
bool set_cgroup_files(std::uint32_t number, std::span<const std::byte> records, Failure& failure);

// Its folder as a descriptor, or a negative errno.
int open_cgroup(std::uint32_t number);

// The caller becomes one of its processes; with `own_namespace` it is the root of what that sees.
bool enter_cgroup(std::uint32_t number, bool own_namespace, Failure& failure);

}  // namespace runhv::agent
