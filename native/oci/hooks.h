// Runs hooks of config.json on the host.
#pragma once

#include <vector>

#include "base/result.h"
#include "control/state_file.h"
#include "oci/host_spec.h"

namespace runhv::oci {

// One after another, each with the container's state on its stdin. The first that fails ends it.
Result<void> run_hooks(const char* point, const std::vector<Hook>& hooks,
                       const control::StoredState& state);

}  // namespace runhv::oci
