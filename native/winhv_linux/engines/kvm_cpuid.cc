#include "winhv_linux/engines/kvm_cpuid.h"

#include <algorithm>
#include <array>
#include <bit>

namespace runhv::winhv_linux {
namespace {

constexpr UINT32 kFirstHypervisorLeaf = 0x40000000;
constexpr UINT32 kLastHypervisorLeaf = 0x40000010;

constexpr UINT32 bit(unsigned n) { return UINT32{1} << n; }

UINT32 bits_of(UINT32 count) { return static_cast<UINT32>(std::bit_width(count - 1)); }

// One package of single-threaded cores, so that each sees the index as its APIC id.
void describe_topology(UINT32 index, UINT32 count, kvm_cpuid_entry2& entry) {
  switch (entry.function) {
    case 1:
      entry.ebx = (entry.ebx & 0xFFFF) | count << 16 | index << 24;
      entry.edx = count > 1 ? entry.edx | bit(28) : entry.edx & ~bit(28);
      break;
    case 4:  // each cache is its core's
      if ((entry.eax & 0x1F) != 0) entry.eax = (entry.eax & 0x3FFF) | (count - 1) << 26;
      break;
    case 0xB:
      entry.edx = index;
      entry.ecx = entry.index;
      entry.eax = entry.index == 1 ? bits_of(count) : 0;
      entry.ebx = entry.index == 0 ? 1 : entry.index == 1 ? count : 0;
      if (entry.index < 2) entry.ecx |= (entry.index + 1) << 8;  // threads, then cores
      break;
    case 0x80000008:
      entry.ecx = (entry.ecx & ~UINT32{0xF0FF}) | (count - 1) | bits_of(count) << 12;
      break;
    case 0x8000001D:
      if ((entry.eax & 0x1F) != 0) entry.eax &= 0x3FFF;
      break;
    case 0x8000001E:
      entry.eax = index;
      entry.ebx = index;
      entry.ecx = 0;
      break;
    default:
      break;
  }
}

// Whether there is such a leaf for the guest at all.
bool leave_out_what_is_not_used(kvm_cpuid_entry2& entry) {
  switch (entry.function) {
    case 1:
      entry.ecx &= ~bit(5);  // VMX
      return true;
    case 0x80000001:
      entry.ecx &= ~(bit(2) | bit(23) | bit(24) | bit(28));  // SVM, performance counters
      return true;
    case 0xA:         // performance counters
    case 0x1F:        // a topology that 0xB tells as well
    case 0x80000022:  // performance counters
    case 0x8000000A:  // SVM
      return false;
    default:
      return true;
  }
}

// Zeros where it is not there.
kvm_cpuid_entry2 leaf(std::span<const kvm_cpuid_entry2> supported, UINT32 function, UINT32 index) {
  for (const kvm_cpuid_entry2& entry : supported) {
    if (entry.function == function && entry.index == index) return entry;
  }
  return {};
}

}  // namespace

FeatureSets features_of(std::span<const kvm_cpuid_entry2> supported) {
  return features_of([&](UINT32 function, UINT32 index) -> CpuidWords {
    const kvm_cpuid_entry2 entry = leaf(supported, function, index);
    return {entry.eax, entry.ebx, entry.ecx, entry.edx};
  });
}

std::vector<kvm_cpuid_entry2> guest_cpuid(std::span<const kvm_cpuid_entry2> supported, UINT32 index,
                                          const VmShape& shape, bool has_tsc_deadline,
                                          CpuAnswers& answers) {
  std::vector<kvm_cpuid_entry2> result;
  const auto add = [&](kvm_cpuid_entry2 entry) {
    std::array<UINT32, 4> words{entry.eax, entry.ebx, entry.ecx, entry.edx};
    // Exits for it are not among the capabilities, so none is asked for.
    answers.cpuid(index, entry.function, entry.index, words);
    const bool is_a_hypervisors =
        entry.function >= kFirstHypervisorLeaf && entry.function <= kLastHypervisorLeaf;
    if (is_a_hypervisors && words == std::array<UINT32, 4>{}) return;
    entry.eax = words[0];
    entry.ebx = words[1];
    entry.ecx = words[2];
    entry.edx = words[3];
    result.push_back(entry);
  };
  for (kvm_cpuid_entry2 entry : supported) {
    const bool is_a_hypervisors =
        entry.function >= kFirstHypervisorLeaf && entry.function < 0x50000000;
    if (is_a_hypervisors || !leave_out_what_is_not_used(entry)) continue;  // KVM's own leaves
    if (entry.function == 1 && has_tsc_deadline) entry.ecx |= bit(24);
    describe_topology(index, shape.processor_count, entry);
    add(entry);
  }
  for (UINT32 leaf = kFirstHypervisorLeaf; leaf <= kLastHypervisorLeaf; ++leaf) {
    kvm_cpuid_entry2 entry{};
    entry.function = leaf;
    add(entry);
  }
  return result;
}

}  // namespace runhv::winhv_linux
