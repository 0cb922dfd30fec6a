#include "winhv_linux/engine.h"

#include <cstdlib>
#include <string>
#include <utility>

namespace runhv::winhv {
namespace {

template <class F>
bool find(const Library& library, const char* symbol, F& function) {
  function = reinterpret_cast<F>(library.find(symbol));
  return function != nullptr;
}

Result<Engine> load() {
  // A bare name is looked up through this library's run path, which is $ORIGIN.
  const char* configured = std::getenv("RUNHV_SOFTCPU");
  const std::string path =
      configured != nullptr && *configured != '\0' ? configured : "librunhv-softcpu.so";
  const std::string operation = "open the soft engine " + path;

  RUNHV_TRY_ASSIGN(Library library, Library::open(path));
  decltype(&softcpu_abi_version) abi_version = nullptr;
  if (!find(library, "softcpu_abi_version", abi_version) || abi_version() != SOFTCPU_ABI_VERSION) {
    return Fail{Error{Code::kUnsupported, operation,
                      "it is not of ABI version " + std::to_string(SOFTCPU_ABI_VERSION)}};
  }
  Engine engine{std::move(library), {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
  const Library& from = engine.library;
  const bool complete =
      find(from, "softcpu_create", engine.create) &&
      find(from, "softcpu_destroy", engine.destroy) && find(from, "softcpu_map", engine.map) &&
      find(from, "softcpu_unmap", engine.unmap) &&
      find(from, "softcpu_memory_written", engine.memory_written) &&
      find(from, "softcpu_run", engine.run) && find(from, "softcpu_cancel", engine.cancel) &&
      find(from, "softcpu_next_timer_ns", engine.next_timer_ns) &&
      find(from, "softcpu_is_runnable", engine.is_runnable) &&
      find(from, "softcpu_request_interrupt", engine.request_interrupt) &&
      find(from, "softcpu_get", engine.get) && find(from, "softcpu_set", engine.set) &&
      find(from, "softcpu_translate", engine.translate) &&
      find(from, "softcpu_instructions", engine.instructions);
  if (!complete) return Fail{Error{Code::kUnsupported, operation, "a softcpu_ export is missing"}};
  return engine;
}

}  // namespace

const Result<Engine>& soft_engine() {
  // Leaked on purpose: threads of the client may still run guests while the process exits.
  static const Result<Engine>& engine = *new Result<Engine>(load());
  return engine;
}

}  // namespace runhv::winhv
