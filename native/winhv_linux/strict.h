// Strict mode: the constraints of real WHP that an implementation could forgive, kept so that a
// client that passes here has met them. RUNHV_WHP_STRICT=1; README.md lists them.
#pragma once

#include <cstdint>
#include <optional>

#include "winhv_linux/profile.h"

namespace runhv::winhv_linux {

struct Strictness {
  bool enabled = false;
  // RUNHV_WHP_HALT=never|then-block|always, strict mode only; else the profile's.
  std::optional<HaltReport> halt_report;
};

// Read from the environment once.
const Strictness& strictness();

// Where enabled, the n-th Run of a processor returns None or a stale Canceled without having run.
inline constexpr std::uint64_t kSpuriousNoneEvery = 61;
inline constexpr std::uint64_t kStaleCanceledEvery = 97;

}  // namespace runhv::winhv_linux
