// What the host's processor says of virtualization. Internal to platform/.
#pragma once

#include <cpuid.h>

#include "platform/host_facts.h"

namespace runhv::platform {

// SDM Vol.2 "CPUID", leaf 1; APM Vol.3 appendix E.4, leaf 0x80000001.
inline void ask_processor(HostFacts& facts) {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0) {
    facts.has_virtualization = (ecx & 1u << 5) != 0;
    facts.has_hypervisor = (ecx & 1u << 31) != 0;
  }
  if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) != 0) {
    facts.has_virtualization = facts.has_virtualization || (ecx & 1u << 2) != 0;
  }
}

}  // namespace runhv::platform
