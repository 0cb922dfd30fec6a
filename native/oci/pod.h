// The container whose VM another one is to run in (docs/adr/0020-a-pod-is-one-machine.md).
#pragma once

#include <string>

#include "base/result.h"
#include "oci/host_spec.h"

namespace runhv::oci {

// Its name: the running container with a VM of its own whose process is in the network namespace
// that `host` names, which is not that of the caller; else the one whose process it names in the
// path of a namespace for ipc or uts, /proc/PID/ns/ipc. Empty where there is none. `root`: of the
// containers.
Result<std::string> find_pod(const std::string& root, const HostSpec& host);

}  // namespace runhv::oci
