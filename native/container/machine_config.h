// From the shape that a bundle asks for, and the defaults of the caller, to a machine.
#pragma once

#include <vector>

#include "base/result.h"
#include "container/container.h"
#include "container/container_spec.h"
#include "container/vm_shape.h"
#include "machine/machine.h"

namespace runhv::container {

// Opens the disks, and takes hold of what is shared: later changes of its name have no effect. What
// belongs to the container (vsock, observer, counts) is still to be set.
Result<machine::MachineConfig> machine_config(const ContainerConfig& config, const VmShape& shape,
                                              const std::vector<ShareSpec>& shares);

}  // namespace runhv::container
