// What CPUID, RDMSR and WRMSR do in a partition: its properties over the engine's own answers.
#pragma once

#include <array>
#include <cstdint>

#include "winhv_linux/engine.h"
#include "winhv_linux/hyperv.h"
#include "winhv_linux/processor_features.h"
#include "winhv_linux/properties.h"

namespace runhv::winhv_linux {

// Threads: externally serialised.
class CpuPolicy {
 public:
  // `properties` outlives the policy and may change between calls, but for the features.
  CpuPolicy(const Properties& properties, std::uint64_t start_ns);

  // Turns the engine's answer in `out` (eax, ebx, ecx, edx) into the partition's. True: the guest's
  // CPUID exits, and `out` is the default result of that exit.
  bool cpuid(std::uint32_t cpu, std::uint32_t function, std::uint32_t index,
             std::array<std::uint32_t, 4>& out) const;

  MsrAnswer read_msr(std::uint32_t cpu, std::uint32_t msr, std::uint64_t now_ns,
                     std::uint64_t& value) const;
  MsrAnswer write_msr(std::uint32_t msr, std::uint64_t value);

 private:
  enum class Access { kRead, kWrite };
  WHV_MSR_ACTION listed_action(std::uint32_t msr, Access access) const;
  MsrAnswer unknown_msr() const;

  const Properties& properties_;
  const FeatureSets hidden_;  // from the guest, though the engine has them
  Hyperv hyperv_;
};

}  // namespace runhv::winhv_linux
