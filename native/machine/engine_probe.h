// Whether an engine works on this host, and how far it comes (docs/doctor.md).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace runhv::machine {

struct EngineProbe {
  std::string engine;                          // auto, soft, kvm, whp
  std::string kernel_path;                     // that is booted at last, up to the agent
  std::vector<std::string> initrd_paths = {};  // the agent's
};

// In this order. Each is told once it is done, with what it took.
inline constexpr const char* kProbeStages[] = {
    "library",    // of the hypervisor's interface: opened, and a hypervisor is there
    "partition",  // one processor and one page of memory
    "guest",      // the page's instructions ran up to an exit
    "kernel"      // ours came up to the agent's first act
};
using OnProbeStage = std::function<void(const char* stage, std::uint64_t ns)>;

// The error of the first stage that fails; kTimedOut where a guest does not come on. REQUIRES: this
// process has no other machine.
Result<void> probe_engine(const EngineProbe& probe, const OnProbeStage& on_stage);

}  // namespace runhv::machine
