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
bool bind(const platform::Library& library, const char* name, F& function) {
  function = reinterpret_cast<F>(library.find(name));
  return function != nullptr;
}

// Returns the name of the first export that is missing, or null.
const char* bind_all(const platform::Library& library, WhpFunctions& functions) {
#define RUNHV_WHP_NEED(member, name) \
  if (!bind(library, #name, functions.member)) return #name;
  RUNHV_WHP_FUNCTIONS(RUNHV_WHP_NEED)
#undef RUNHV_WHP_NEED
#define RUNHV_WHP_WANT(member, name) bind(library, #name, functions.member);
  RUNHV_WHP_EXTENSIONS(RUNHV_WHP_WANT)
#undef RUNHV_WHP_WANT
  return nullptr;
}

// What to do where the library that the system has does not serve. Of ours: nothing.
std::string remedy(const EngineChoice& choice, const char* words) {
  return choice.engine == "whp" ? std::string("; ") + words : "";
}

Result<platform::Library> open_first(const EngineChoice& choice) {
  std::string tried;
  for (const std::string& path : choice.libraries) {
    auto library = platform::Library::open(path);
    if (library) {
      debug_log("hv", "WHP from %s", path.c_str());
      return library;
    }
    tried += (tried.empty() ? "" : "; ") + library.error().detail;
  }
  return Fail{Error{Code::kNotFound, "open the hypervisor library of engine " + choice.engine,
                    tried + remedy(choice,
                                   "enable the feature Windows Hypervisor Platform; runhv doctor "
                                   "says how")}};
}

}  // namespace

WhpLibrary::WhpLibrary(platform::Library library, std::unique_ptr<WhpFunctions> functions,
                       std::string engine, std::string reason)
    : library_(std::move(library)),
      functions_(std::move(functions)),
      engine_(std::move(engine)),
      reason_(std::move(reason)) {}

WhpLibrary::~WhpLibrary() = default;

Result<std::unique_ptr<WhpLibrary>> WhpLibrary::open(const std::string& engine) {
  RUNHV_TRY_ASSIGN(EngineChoice choice, choose_engine(engine));
  RUNHV_TRY_ASSIGN(platform::Library library, open_first(choice));
  auto functions = std::make_unique<WhpFunctions>();
  if (const char* missing = bind_all(library, *functions)) {
    return Fail{Error{Code::kUnsupported, "use engine " + choice.engine,
                      std::string("the hypervisor library has no ") + missing +
                          remedy(choice, "Windows 11 and Windows Server 2022 have it")}};
  }
  if (functions->select_engine != nullptr) {
    if (const HRESULT hr = functions->select_engine(choice.engine.c_str()); FAILED(hr)) {
      return Fail{hresult_error("select engine " + choice.engine, hr)};
    }
  }
  if (functions->get_engine_name != nullptr) choice.engine = functions->get_engine_name();
  std::string reason;
  if (functions->get_engine_reason != nullptr) {
    if (const char* words = functions->get_engine_reason()) reason = words;
  }
  WHV_CAPABILITY capability{};
  UINT32 written = 0;
  const HRESULT hr = functions->get_capability(WHvCapabilityCodeHypervisorPresent, &capability,
                                               sizeof capability, &written);
  if (FAILED(hr)) return Fail{hresult_error("ask for the hypervisor (WHvGetCapability)", hr)};
  if (!capability.HypervisorPresent) {
    const char* error =
        functions->get_engine_error != nullptr ? functions->get_engine_error() : nullptr;
    return Fail{Error{Code::kHypervisorAbsent, "use engine " + choice.engine,
                      error != nullptr ? error
                                       : "no hypervisor is present: enable the feature Windows "
                                         "Hypervisor Platform"}};
  }
  return std::unique_ptr<WhpLibrary>(
      new WhpLibrary(std::move(library), std::move(functions), choice.engine, std::move(reason)));
}

}  // namespace runhv::hv
