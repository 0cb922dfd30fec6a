// Mounts, devices and paths of the container, inside its root.
#pragma once

#include "failure.h"
#include "start.h"

namespace runhv::agent {

bool make_mounts(const StartRequest& start, Failure& failure);
bool make_devices(const StartRequest& start, Failure& failure);
// After make_devices: tmpfs mounts that were asked for as read-only become so.
bool finish_mounts(const StartRequest& start, Failure& failure);
bool hide_paths(const StartRequest& start, Failure& failure);

}  // namespace runhv::agent
