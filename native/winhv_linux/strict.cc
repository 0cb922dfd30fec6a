#include "winhv_linux/strict.h"

#include <string>

#include "platform/process.h"

namespace runhv::winhv_linux {
namespace {

Strictness read_environment() {
  Strictness strictness{platform::environment("RUNHV_WHP_STRICT") == "1", std::nullopt};
  if (!strictness.enabled) return strictness;
  const std::string halt = platform::environment("RUNHV_WHP_HALT");
  if (halt == "never") strictness.halt_report = HaltReport::kNever;
  if (halt == "then-block") strictness.halt_report = HaltReport::kThenBlock;
  if (halt == "always") strictness.halt_report = HaltReport::kAlways;
  return strictness;
}

}  // namespace

const Strictness& strictness() {
  static const Strictness strictness = read_environment();
  return strictness;
}

}  // namespace runhv::winhv_linux
