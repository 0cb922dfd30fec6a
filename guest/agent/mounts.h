// Mounts, devices and paths of the container, inside its root.
#pragma once

#include "failure.h"
#include "request.h"

namespace runhv::agent {

bool make_mounts(const ContainerRequest& container, int shares, Failure& failure);
bool make_devices(const ContainerRequest& container, Failure& failure);
// After make_devices: tmpfs mounts that were asked for as read-only become so.
bool finish_mounts(const ContainerRequest& container, Failure& failure);
bool hide_paths(const ContainerRequest& container, Failure& failure);

}  // namespace runhv::agent
