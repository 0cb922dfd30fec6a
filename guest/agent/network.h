// The interfaces of the machine's network devices.
#pragma once

#include "failure.h"
#include "request.h"

namespace runhv::agent {

// Says each netlink record to the kernel, in order.
bool configure_network(const ContainerRequest& container, Failure& failure);

}  // namespace runhv::agent
