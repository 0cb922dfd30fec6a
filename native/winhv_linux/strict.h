// Strict mode: the constraints of real WHP that an implementation could forgive, kept so that a
// client that passes here has met them. RUNHV_WHP_STRICT=1; README.md lists them.
#pragma once

#include <cstdint>
#include <optional>

#include "winhv_linux/profile.h"

namespace runhv::winhv_linux {

// From the environment; all but `enabled` only together with it.
struct Strictness {
  bool enabled = false;
  // RUNHV_WHP_HALT=never|then-block|always; else the profile's.
  std::optional<HaltReport> halt_report = std::nullopt;
  // RUNHV_WHP_SEED: which Runs return for nothing. 0: a few with a stale Canceled, by their number
  // (below), and none with None, which old builds were seen to return (field guide §1.5) and at
  // which QEMU stops its machine.
  std::uint64_t seed = 0;
  // RUNHV_WHP_TRIPLE_FAULT=park: with a local APIC no exit tells of one (field guide §4.5).
  bool triple_fault_parks = false;
  // RUNHV_WHP_COSTS=1: exits and maps take as long as they do on Windows.
  bool costs = false;

  // What the `run`-th Run of a processor, counted from 1, returns without having run: None, or a
  // stale Canceled.
  std::optional<WHV_RUN_VP_EXIT_REASON> spurious_exit(UINT32 vp, std::uint64_t run) const;

  // Where `costs`: keep the calling thread for the time of an exit, of a map or unmap.
  void pay_for_exit() const;
  void pay_for_map(std::uint64_t bytes) const;
};

// Read from the environment once.
const Strictness& strictness();

// Without a seed.
inline constexpr std::uint64_t kStaleCanceledEvery = 97;
// With one: of this many Runs one is None and one Canceled, on average.
inline constexpr std::uint64_t kSpuriousOneOf = 16;

// Field guide §7: one machine with build 26200.
inline constexpr std::uint64_t kExitCostNs = 5'000;
inline constexpr std::uint64_t kMapCostNsPerGib = 13'000'000;

}  // namespace runhv::winhv_linux
