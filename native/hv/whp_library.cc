#include "hv/whp_library.h"

#include <optional>
#include <utility>

#include "base/log.h"
#include "hv/engine_choice.h"
#include "hv/hresult.h"
#include "hv/whp_functions.h"

namespace runhv::hv {
namespace {

// Binds `function` to the export `name`; false where the library has none.
template <class F>
bool bind(const Library& library, const char* name, F& function) {
  function = reinterpret_cast<F>(library.find(name));
  return function != nullptr;
}

// Returns the name of the first export that is missing, or null.
const char* bind_all(const Library& library, WhpFunctions& f) {
  if (!bind(library, "WHvGetCapability", f.get_capability)) return "WHvGetCapability";
  if (!bind(library, "WHvCreatePartition", f.create_partition)) return "WHvCreatePartition";
  if (!bind(library, "WHvSetPartitionProperty", f.set_partition_property)) {
    return "WHvSetPartitionProperty";
  }
  if (!bind(library, "WHvSetupPartition", f.setup_partition)) return "WHvSetupPartition";
  if (!bind(library, "WHvDeletePartition", f.delete_partition)) return "WHvDeletePartition";
  if (!bind(library, "WHvMapGpaRange", f.map_gpa_range)) return "WHvMapGpaRange";
  if (!bind(library, "WHvCreateVirtualProcessor", f.create_virtual_processor)) {
    return "WHvCreateVirtualProcessor";
  }
  if (!bind(library, "WHvDeleteVirtualProcessor", f.delete_virtual_processor)) {
    return "WHvDeleteVirtualProcessor";
  }
  if (!bind(library, "WHvRunVirtualProcessor", f.run_virtual_processor)) {
    return "WHvRunVirtualProcessor";
  }
  if (!bind(library, "WHvCancelRunVirtualProcessor", f.cancel_run_virtual_processor)) {
    return "WHvCancelRunVirtualProcessor";
  }
  if (!bind(library, "WHvGetVirtualProcessorRegisters", f.get_registers)) {
    return "WHvGetVirtualProcessorRegisters";
  }
  if (!bind(library, "WHvSetVirtualProcessorRegisters", f.set_registers)) {
    return "WHvSetVirtualProcessorRegisters";
  }
  if (!bind(library, "WHvTranslateGva", f.translate_gva)) return "WHvTranslateGva";
  if (!bind(library, "WHvRequestInterrupt", f.request_interrupt)) return "WHvRequestInterrupt";
  bind(library, "WHvRunhvSelectEngine", f.select_engine);
  bind(library, "WHvRunhvGetInstructionCount", f.get_instruction_count);
  bind(library, "WHvRunhvMemoryWritten", f.memory_written);
  return nullptr;
}

Result<Library> open_first(const EngineChoice& choice) {
  std::string tried;
  for (const std::string& path : choice.libraries) {
    auto library = Library::open(path);
    if (library) {
      debug_log("hv", "WHP from %s", path.c_str());
      return library;
    }
    tried += (tried.empty() ? "" : "; ") + library.error().detail;
  }
  return Fail{Error{Code::kNotFound, "open the hypervisor library of engine " + choice.engine,
                    std::move(tried)}};
}

}  // namespace

Error unknown_engine(const std::string& engine) {
  return Error{Code::kInvalidArgument, "use engine \"" + engine + "\"",
               "the engines are auto, soft, kvm, whp"};
}

WhpLibrary::WhpLibrary(Library library, std::unique_ptr<WhpFunctions> functions, std::string engine)
    : library_(std::move(library)), functions_(std::move(functions)), engine_(std::move(engine)) {}

WhpLibrary::~WhpLibrary() = default;

Result<std::unique_ptr<WhpLibrary>> WhpLibrary::open(const std::string& engine) {
  RUNHV_TRY_ASSIGN(const EngineChoice choice, choose_engine(engine));
  RUNHV_TRY_ASSIGN(Library library, open_first(choice));
  auto functions = std::make_unique<WhpFunctions>();
  if (const char* missing = bind_all(library, *functions)) {
    return Fail{Error{Code::kUnsupported, "use engine " + choice.engine,
                      std::string("the hypervisor library has no ") + missing}};
  }
  if (functions->select_engine != nullptr) {
    if (const HRESULT hr = functions->select_engine(choice.engine.c_str()); FAILED(hr)) {
      return Fail{hresult_error("select engine " + choice.engine, hr)};
    }
  }
  WHV_CAPABILITY capability{};
  UINT32 written = 0;
  const HRESULT hr = functions->get_capability(WHvCapabilityCodeHypervisorPresent, &capability,
                                               sizeof capability, &written);
  if (FAILED(hr)) return Fail{hresult_error("ask for the hypervisor (WHvGetCapability)", hr)};
  if (!capability.HypervisorPresent) {
    return Fail{Error{Code::kHypervisorAbsent, "use engine " + choice.engine,
                      "no hypervisor is present: enable the feature Windows Hypervisor Platform"}};
  }
  return std::unique_ptr<WhpLibrary>(
      new WhpLibrary(std::move(library), std::move(functions), choice.engine));
}

}  // namespace runhv::hv
