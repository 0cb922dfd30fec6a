#include "winhv_linux/hyperv.h"

namespace runhv::winhv_linux {
namespace {

constexpr std::uint32_t kFirstLeaf = 0x40000000;
constexpr std::uint32_t kMaxLeafPresent = 0x40000001;
constexpr std::uint32_t kMaxLeafHv1 = 0x40000006;

constexpr std::uint32_t kMsrGuestOsId = 0x40000000;
constexpr std::uint32_t kMsrHypercall = 0x40000001;
constexpr std::uint32_t kMsrVpIndex = 0x40000002;
constexpr std::uint32_t kMsrReferenceCounter = 0x40000020;
constexpr std::uint32_t kMsrReferenceTsc = 0x40000021;
constexpr std::uint32_t kMsrTscFrequency = 0x40000022;
constexpr std::uint32_t kMsrApicFrequency = 0x40000023;
constexpr std::uint32_t kMsrTscInvariantControl = 0x40000118;

constexpr std::uint32_t bit(unsigned n) { return 1u << n; }

}  // namespace

std::optional<std::array<std::uint32_t, 4>> Hyperv::cpuid(std::uint32_t function) const {
  if (features_.HypervisorPresent == 0) return std::nullopt;
  const std::uint32_t last = features_.Hv1 != 0 ? kMaxLeafHv1 : kMaxLeafPresent;
  if (function < kFirstLeaf || function > last) return std::nullopt;
  switch (function) {
    case 0x40000000:  // "Microsoft Hv"
      return std::array<std::uint32_t, 4>{last, 0x7263694D, 0x666F736F, 0x76482074};
    case 0x40000001:  // "Hv#1": the interface below is there
      return std::array<std::uint32_t, 4>{features_.Hv1 != 0 ? 0x31237648u : 0u, 0, 0, 0};
    case 0x40000003: {
      std::uint32_t privileges = 0;
      std::uint32_t available = 0;
      if (features_.AccessPartitionReferenceCounter != 0) privileges |= bit(1);
      if (features_.AccessHypercallRegs != 0) privileges |= bit(5);
      if (features_.AccessVpIndex != 0) privileges |= bit(6);
      if (features_.AccessPartitionReferenceTsc != 0) privileges |= bit(9);
      if (features_.AccessFrequencyRegs != 0) {
        // Linux uses the frequencies only with both bits, and calls the TSC unstable without 15.
        privileges |= bit(11) | bit(15);
        available |= bit(8);
      }
      return std::array<std::uint32_t, 4>{privileges, 0, 0, available};
    }
    case 0x40000004:  // recommends nothing; never tell us of long spins
      return std::array<std::uint32_t, 4>{0, 0xFFFFFFFF, 0, 0};
    default:
      return std::array<std::uint32_t, 4>{};
  }
}

std::optional<std::uint64_t> Hyperv::read_msr(std::uint32_t cpu, std::uint32_t msr,
                                              std::uint64_t now_ns) const {
  if (msr == kMsrGuestOsId && features_.AccessHypercallRegs != 0) return guest_os_id_;
  if (msr == kMsrHypercall && features_.AccessHypercallRegs != 0) return hypercall_;
  if (msr == kMsrVpIndex && features_.AccessVpIndex != 0) return cpu;
  if (msr == kMsrReferenceCounter && features_.AccessPartitionReferenceCounter != 0) {
    return (now_ns - clock_.start_ns) / 100;
  }
  if (msr == kMsrReferenceTsc && features_.AccessPartitionReferenceTsc != 0) return reference_tsc_;
  if (features_.AccessFrequencyRegs != 0) {
    if (msr == kMsrTscFrequency) return clock_.tsc_hz;
    if (msr == kMsrApicFrequency) return clock_.apic_hz;
    if (msr == kMsrTscInvariantControl) return tsc_invariant_control_;
  }
  return std::nullopt;
}

bool Hyperv::write_msr(std::uint32_t msr, std::uint64_t value) {
  if (msr == kMsrGuestOsId && features_.AccessHypercallRegs != 0) {
    guest_os_id_ = value;
    if (value == 0) hypercall_ &= ~std::uint64_t{1};  // TLFS §3.13: no identity, no hypercalls
    return true;
  }
  if (msr == kMsrHypercall && features_.AccessHypercallRegs != 0) {
    hypercall_ = value;
    return true;
  }
  if (msr == kMsrReferenceTsc && features_.AccessPartitionReferenceTsc != 0) {
    reference_tsc_ = value;
    return true;
  }
  if (msr == kMsrTscInvariantControl && features_.AccessFrequencyRegs != 0) {
    tsc_invariant_control_ = value & 1;
    return true;
  }
  return false;
}

std::optional<std::uint64_t> Hyperv::reference_tsc_page(std::uint32_t msr, std::uint64_t value) {
  constexpr std::uint64_t kEnable = 1;
  constexpr std::uint64_t kFlags = 0xFFF;
  if (msr != kMsrReferenceTsc || (value & kEnable) == 0) return std::nullopt;
  return value & ~kFlags;
}

}  // namespace runhv::winhv_linux
