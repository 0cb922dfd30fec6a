#include "winhv_linux/engines/softcpu_library.h"

#include <string>
#include <utility>

#include "platform/process.h"

namespace runhv::winhv_linux {
namespace {

template <class F>
bool find(const platform::Library& library, const char* symbol, F& function) {
  function = reinterpret_cast<F>(library.find(symbol));
  return function != nullptr;
}

}  // namespace

Result<SoftcpuLibrary> SoftcpuLibrary::open() {
  // A bare name is looked for beside this library first.
  std::string path = platform::environment("RUNHV_SOFTCPU");
  if (path.empty()) path = platform::library_file("runhv-softcpu");
  const auto unsupported = [&](std::string detail) {
    return Fail{Error{Code::kUnsupported, "open the soft engine " + path, std::move(detail)}};
  };

  RUNHV_TRY_ASSIGN(platform::Library library, platform::Library::open(path));
  decltype(&softcpu_abi_version) abi_version = nullptr;
  if (!find(library, "softcpu_abi_version", abi_version) || abi_version() != SOFTCPU_ABI_VERSION) {
    return unsupported("it is not of ABI version " + std::to_string(SOFTCPU_ABI_VERSION));
  }
  SoftcpuLibrary softcpu{.library = std::move(library)};
#define RUNHV_SOFTCPU_FIND(name)                                   \
  if (!find(softcpu.library, "softcpu_" #name, softcpu.name)) {    \
    return unsupported("the export softcpu_" #name " is missing"); \
  }
  RUNHV_SOFTCPU_FUNCTIONS(RUNHV_SOFTCPU_FIND)
#undef RUNHV_SOFTCPU_FIND
  return softcpu;
}

}  // namespace runhv::winhv_linux
