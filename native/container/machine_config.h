// From the shape that a bundle asks for, and the defaults of the caller, to a machine.
#pragma once

#include "base/result.h"
#include "container/container.h"
#include "container/vm_shape.h"
#include "machine/machine.h"

namespace runhv {

// Opens the disks. What belongs to the container (vsock, observer, counts) is still to be set.
Result<MachineConfig> machine_config(const ContainerConfig& config, const VmShape& shape);

}  // namespace runhv
