#include "hv/engine_choice.h"
#include "platform/file.h"
#include "platform/process.h"

namespace runhv::hv {

Result<EngineChoice> choose_engine(const std::string& engine) {
  const std::string operation = "use engine " + engine;
  if (engine == "whp") {
    return Fail{Error{Code::kUnsupported, operation,
                      "engine whp needs Windows with the Windows Hypervisor Platform feature"}};
  }
  if (engine == "kvm") {
    return Fail{Error{Code::kUnsupported, operation,
                      "engine kvm is not in this version; use --engine soft"}};
  }
  if (engine != "auto" && engine != "soft") return Fail{unknown_engine(engine)};

  constexpr const char* kLibrary = "libwinhvplatform.so";
  EngineChoice choice{"soft", {}};
  if (std::string library = environment("RUNHV_WINHV"); !library.empty()) {
    choice.libraries.push_back(std::move(library));
    return choice;
  }
  if (const auto directory = executable_directory()) {
    choice.libraries.push_back(*directory + "/" + kLibrary);
    choice.libraries.push_back(*directory + "/../lib/" + kLibrary);
  }
  // The bare name last: found through the run path of the module that holds this code, which is
  // beside the library where that module is not the executable (JNI).
  choice.libraries.push_back(kLibrary);
  return choice;
}

}  // namespace runhv::hv
