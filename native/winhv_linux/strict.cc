#include "winhv_linux/strict.h"

#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>

#include "platform/clock.h"
#include "platform/process.h"

namespace runhv::winhv_linux {
namespace {

void complain(const char* name, const std::string& value, const char* expected) {
  std::fprintf(stderr, "winhvplatform: %s is \"%s\", which is ignored: it must be %s\n", name,
               value.c_str(), expected);
}

std::uint64_t read_seed() {
  const std::string text = platform::environment("RUNHV_WHP_SEED");
  std::uint64_t seed = 0;
  const char* const end = text.data() + text.size();
  const auto [at, fault] = std::from_chars(text.data(), end, seed);
  if (text.empty() || (fault == std::errc{} && at == end)) return seed;
  complain("RUNHV_WHP_SEED", text, "a number");
  return 0;
}

std::optional<HaltReport> read_halt_report() {
  const std::string halt = platform::environment("RUNHV_WHP_HALT");
  if (halt == "never") return HaltReport::kNever;
  if (halt == "then-block") return HaltReport::kThenBlock;
  if (halt == "always") return HaltReport::kAlways;
  if (!halt.empty()) complain("RUNHV_WHP_HALT", halt, "never, then-block or always");
  return std::nullopt;
}

Strictness read_strictness() {
  if (platform::environment("RUNHV_WHP_STRICT") != "1") return {};
  return {.enabled = true,
          .halt_report = read_halt_report(),
          .seed = read_seed(),
          .triple_fault_parks = platform::environment("RUNHV_WHP_TRIPLE_FAULT") == "park",
          .costs = platform::environment("RUNHV_WHP_COSTS") == "1"};
}

// The finaliser of SplitMix64: neighbours in, strangers out.
std::uint64_t mixed(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15;
  value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9;
  value = (value ^ value >> 27) * 0x94D049BB133111EB;
  return value ^ value >> 31;
}

// Busy, as the processor is while the hypervisor works: a sleep would be far too long.
void spend(std::uint64_t ns) {
  const std::uint64_t start = platform::monotonic_ns();
  while (platform::monotonic_ns() - start < ns) {
  }
}

}  // namespace

std::optional<WHV_RUN_VP_EXIT_REASON> Strictness::spurious_exit(UINT32 vp,
                                                                std::uint64_t run) const {
  if (!enabled) return std::nullopt;
  if (seed != 0) {
    const std::uint64_t draw = mixed(mixed(seed) ^ mixed(vp) ^ run) % kSpuriousOneOf;
    if (draw == 0) return WHvRunVpExitReasonNone;
    if (draw == 1) return WHvRunVpExitReasonCanceled;
    return std::nullopt;
  }
  if (run % kStaleCanceledEvery == 0) return WHvRunVpExitReasonCanceled;
  return std::nullopt;
}

void Strictness::pay_for_exit() const {
  if (costs) spend(kExitCostNs);
}

void Strictness::pay_for_map(std::uint64_t bytes) const {
  constexpr std::uint64_t kMib = std::uint64_t{1} << 20;
  if (costs) spend(bytes / kMib * kMapCostNsPerGib / 1024);
}

const Strictness& strictness() {
  static const Strictness strictness = read_strictness();
  return strictness;
}

}  // namespace runhv::winhv_linux
