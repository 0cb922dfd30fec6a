#include "hv/engine_choice.h"

#include <utility>

#include "platform/hypervisor_library.h"

namespace runhv::hv {

Result<EngineChoice> choose_engine(const std::string& engine) {
  const std::string operation = "use engine " + engine;
  if (engine != "auto" && engine != "soft" && engine != "kvm" && engine != "whp") {
    return Fail{Error{Code::kInvalidArgument, "use engine \"" + engine + "\"",
                      "the engines are auto, soft, kvm, whp"}};
  }
  platform::HypervisorLibrary library = platform::hypervisor_library();
  const bool is_windows = engine == "whp";
  if (library.is_the_systems) {
    if (engine == "auto" || is_windows) return EngineChoice{"whp", std::move(library.paths)};
    return Fail{Error{Code::kHypervisorAbsent, operation,
                      "engine " + engine + " is for Linux; use --engine whp"}};
  }
  if (is_windows) {
    return Fail{Error{Code::kHypervisorAbsent, operation,
                      "engine whp needs Windows with the Windows Hypervisor Platform feature"}};
  }
  return EngineChoice{engine, std::move(library.paths)};
}

}  // namespace runhv::hv
