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
  const std::string own = library.is_the_systems ? "whp" : "soft";
  if (engine == "auto" || engine == own) return EngineChoice{own, std::move(library.paths)};
  if (engine == "whp") {
    return Fail{Error{Code::kHypervisorAbsent, operation,
                      "engine whp needs Windows with the Windows Hypervisor Platform feature"}};
  }
  return Fail{Error{Code::kHypervisorAbsent, operation,
                    "engine " + engine + " is not in this version; use --engine " + own}};
}

}  // namespace runhv::hv
