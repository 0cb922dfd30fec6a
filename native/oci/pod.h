// The container whose VM another one is to run in (docs/adr/0020-a-pod-is-one-machine.md).
#pragma once

#include <string>

#include "base/result.h"

namespace runhv::oci {

// Its name: the running container with a VM of its own whose process is in `network_namespace`, a
// path, and not in that of the caller. Empty where there is none. `root`: of the containers.
Result<std::string> find_pod(const std::string& root, const std::string& network_namespace);

}  // namespace runhv::oci
