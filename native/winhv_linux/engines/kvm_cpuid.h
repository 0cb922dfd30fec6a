// What CPUID answers on engine `kvm`: fixed before a processor runs, since KVM executes it alone.
#pragma once

#include <span>
#include <vector>

#include "winhv_linux/engine.h"
#include "winhv_linux/engines/kvm_interface.h"
#include "winhv_linux/processor_features.h"

namespace runhv::winhv_linux {

// `supported`: KVM_GET_SUPPORTED_CPUID. The answers for processor `index` of `shape`, each as
// `answers` has changed it; what no guest of ours uses (nested virtualization, performance
// counters) is not told.
std::vector<kvm_cpuid_entry2> guest_cpuid(std::span<const kvm_cpuid_entry2> supported, UINT32 index,
                                          const VmShape& shape, bool has_tsc_deadline,
                                          CpuAnswers& answers);

// The same in WHP's words.
FeatureSets features_of(std::span<const kvm_cpuid_entry2> supported);

}  // namespace runhv::winhv_linux
