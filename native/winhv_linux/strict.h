// Strict mode: the constraints of real WHP that an implementation could forgive, kept so that a
// client that passes here has met them. RUNHV_WHP_STRICT=1; README.md lists them.
#pragma once

#include <cstdint>

namespace runhv::winhv {

// When a HLT with a local APIC in the hypervisor is reported (field guide §4.4: builds differ).
enum class HaltReport {
  kNever,      // Run blocks until an interrupt
  kThenBlock,  // X64Halt once, the next Run blocks
  kAlways      // X64Halt at once, from every Run while nothing is deliverable
};

struct Strictness {
  bool enabled;
  HaltReport halt_report;  // RUNHV_WHP_HALT=never|then-block|always, strict mode only
};

// Read from the environment once.
const Strictness& strictness();

// Where enabled, the n-th Run of a processor returns None or a stale Canceled without having run.
inline constexpr std::uint64_t kSpuriousNoneEvery = 61;
inline constexpr std::uint64_t kStaleCanceledEvery = 97;

}  // namespace runhv::winhv
