// Kernel modules that came with the initrd (docs/kernels.md): a kernel of somebody else may need
// them before it sees our devices.
#pragma once

#include "failure.h"

namespace runhv::agent {

// Loads the files of /modules that /modules/order names, one a line, in that order, and deletes
// them: they lie in memory. Nothing where there is no such list.
bool load_modules(Failure& failure);

}  // namespace runhv::agent
