#include "platform/hypervisor_library.h"

#include "platform/file.h"
#include "platform/process.h"

namespace runhv::platform {

HypervisorLibrary hypervisor_library() {
  constexpr const char* kLibrary = "libwinhvplatform.so";
  HypervisorLibrary library{.is_the_systems = false, .paths = {}};
  if (std::string chosen = environment("RUNHV_WINHV"); !chosen.empty()) {
    library.paths.push_back(std::move(chosen));
    return library;
  }
  if (const auto directory = executable_directory()) {
    library.paths.push_back(*directory + "/" + kLibrary);
    library.paths.push_back(*directory + "/../lib/" + kLibrary);
  }
  // The bare name last: found through the run path of the module that holds this code, which is
  // beside the library where that module is not the executable (JNI).
  library.paths.push_back(kLibrary);
  return library;
}

}  // namespace runhv::platform
