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
kvm_cpuid_entry2 leaf(std::span<const kvm_cpuid_entry2> supported, UINT32 function,
                      UINT32 index = 0) {
  for (const kvm_cpuid_entry2& entry : supported) {
    if (entry.function == function && entry.index == index) return entry;
  }
  return {};
}

bool flag(UINT32 word, unsigned n) { return (word >> n & 1) != 0; }

}  // namespace

WHV_PROCESSOR_FEATURES processor_features(std::span<const kvm_cpuid_entry2> supported) {
  const kvm_cpuid_entry2 basic = leaf(supported, 1);
  const kvm_cpuid_entry2 structured = leaf(supported, 7);
  const kvm_cpuid_entry2 extended = leaf(supported, 0x80000001);
  WHV_PROCESSOR_FEATURES features{};
  features.Sse3Support = flag(basic.ecx, 0);
  features.PclmulqdqSupport = flag(basic.ecx, 1);
  features.Ssse3Support = flag(basic.ecx, 9);
  features.Cmpxchg16bSupport = flag(basic.ecx, 13);
  features.PcidSupport = flag(basic.ecx, 17);
  features.Sse4_1Support = flag(basic.ecx, 19);
  features.Sse4_2Support = flag(basic.ecx, 20);
  features.MovbeSupport = flag(basic.ecx, 22);
  features.PopCntSupport = flag(basic.ecx, 23);
  features.AesSupport = flag(basic.ecx, 25);
  features.F16CSupport = flag(basic.ecx, 29);
  features.RdRandSupport = flag(basic.ecx, 30);
  features.RdWrFsGsSupport = flag(structured.ebx, 0);
  features.Bmi1Support = flag(structured.ebx, 3);
  features.HleSupport = flag(structured.ebx, 4);
  features.SmepSupport = flag(structured.ebx, 7);
  features.Bmi2Support = flag(structured.ebx, 8);
  features.EnhancedFastStringSupport = flag(structured.ebx, 9);
  features.InvpcidSupport = flag(structured.ebx, 10);
  features.RtmSupport = flag(structured.ebx, 11);
  features.RdSeedSupport = flag(structured.ebx, 18);
  features.AdxSupport = flag(structured.ebx, 19);
  features.SmapSupport = flag(structured.ebx, 20);
  features.ClflushoptSupport = flag(structured.ebx, 23);
  features.ClwbSupport = flag(structured.ebx, 24);
  features.ShaSupport = flag(structured.ebx, 29);
  features.UmipSupport = flag(structured.ecx, 2);
  features.RdPidSupport = flag(structured.ecx, 22);
  features.FastShortRepMovSupport = flag(structured.edx, 4);
  features.LahfSahfSupport = flag(extended.ecx, 0);
  features.Altmovcr8Support = flag(extended.ecx, 4);
  features.LzcntSupport = flag(extended.ecx, 5);
  features.Sse4aSupport = flag(extended.ecx, 6);
  features.MisAlignSseSupport = flag(extended.ecx, 7);
  features.XopSupport = flag(extended.ecx, 11);
  features.Fma4Support = flag(extended.ecx, 16);
  features.MmxExtSupport = flag(extended.edx, 22);
  features.Page1GbSupport = flag(extended.edx, 26);
  features.RdtscpSupport = flag(extended.edx, 27);
  return features;
}

WHV_PROCESSOR_XSAVE_FEATURES xsave_features(std::span<const kvm_cpuid_entry2> supported) {
  const kvm_cpuid_entry2 basic = leaf(supported, 1);
  const kvm_cpuid_entry2 xsave = leaf(supported, 0xD, 1);
  WHV_PROCESSOR_XSAVE_FEATURES features{};
  features.XsaveSupport = flag(basic.ecx, 26);
  features.XsaveoptSupport = flag(xsave.eax, 0);
  features.XsaveCompSupport = flag(xsave.eax, 1);
  features.AvxSupport = flag(basic.ecx, 28);
  features.FmaSupport = flag(basic.ecx, 12);
  features.Avx2Support = flag(leaf(supported, 7).ebx, 5);
  return features;
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
