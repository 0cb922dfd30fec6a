// The startContainer hooks of the runtime specification: programs of the container's root.
#pragma once

#include "failure.h"
#include "request.h"

namespace runhv::agent {

// In their order, each to its end, by the first process with what its program may do. False after
// the first that fails.
bool run_hooks(const ContainerRequest& container, Failure& failure);

}  // namespace runhv::agent
