#include "hv/engine_choice.h"

namespace runhv::hv {

Result<EngineChoice> choose_engine(const std::string& engine) {
  if (engine == "auto" || engine == "whp") return EngineChoice{"whp", {"WinHvPlatform.dll"}};
  if (engine == "soft" || engine == "kvm") {
    return Fail{Error{Code::kUnsupported, "use engine " + engine,
                      "engine " + engine + " is not in this version on Windows; use --engine whp"}};
  }
  return Fail{unknown_engine(engine)};
}

}  // namespace runhv::hv
