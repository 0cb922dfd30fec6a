#include "platform/hypervisor_library.h"

#include "platform/process.h"

namespace runhv::platform {

HypervisorLibrary hypervisor_library() {
  // Ours, for tests.
  if (std::string chosen = environment("RUNHV_WINHV"); !chosen.empty()) {
    return {.is_the_systems = false, .paths = {std::move(chosen)}};
  }
  return {.is_the_systems = true, .paths = {"WinHvPlatform.dll"}};
}

}  // namespace runhv::platform
