// What Microsoft's hypervisor shows a guest about itself: CPUID leaves 0x40000000.. and the
// synthetic MSRs, as far as property SyntheticProcessorFeaturesBanks asks for them (TLFS §2.4,
// §12).
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "whpapi/whp.h"

namespace runhv::winhv_linux {

struct HypervClock {
  std::uint64_t start_ns;  // when the partition was set up, monotonic
  std::uint64_t tsc_hz;
  std::uint64_t apic_hz;
};

// Threads: externally serialised.
class Hyperv {
 public:
  Hyperv(WHV_SYNTHETIC_PROCESSOR_FEATURES features, HypervClock clock)
      : features_(features), clock_(clock) {}

  // The answer to a leaf of this interface; nullopt: not a leaf of this partition.
  std::optional<std::array<std::uint32_t, 4>> cpuid(std::uint32_t function) const;

  // Nullopt: the MSR does not exist for this partition.
  std::optional<std::uint64_t> read_msr(std::uint32_t cpu, std::uint32_t msr,
                                        std::uint64_t now_ns) const;
  bool write_msr(std::uint32_t msr, std::uint64_t value);

  // Where the guest has just put its reference TSC page. We offer none: its sequence number must
  // read 0, which sends the guest to the reference counter (TLFS §12.7.3).
  static std::optional<std::uint64_t> reference_tsc_page(std::uint32_t msr, std::uint64_t value);

 private:
  const WHV_SYNTHETIC_PROCESSOR_FEATURES features_;
  const HypervClock clock_;
  std::uint64_t guest_os_id_ = 0;
  std::uint64_t hypercall_ = 0;
  std::uint64_t reference_tsc_ = 0;
  std::uint64_t tsc_invariant_control_ = 0;
};

}  // namespace runhv::winhv_linux
