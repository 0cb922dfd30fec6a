#include "winhv_linux/cpu_policy.h"

#include <algorithm>

namespace runhv::winhv_linux {
namespace {

constexpr std::uint32_t kMsrPlatformId = 0x17;
constexpr std::uint32_t kMsrMicrocode = 0x8B;
constexpr std::uint32_t kMsrMiscEnable = 0x1A0;

// MSRs that the hypervisor keeps itself and the engine has. All others are unhandled, in WHP's
// word.
bool engine_has(std::uint32_t msr) {
  switch (msr) {
    case 0xFE:   // MTRRCAP
    case 0x174:  // SYSENTER_CS
    case 0x175:  // SYSENTER_ESP
    case 0x176:  // SYSENTER_EIP
    case 0x250:  // fixed MTRRs
    case 0x258:
    case 0x259:
    case 0x277:       // PAT
    case 0x2FF:       // MTRR_DEF_TYPE
    case 0xC0000103:  // TSC_AUX
      return true;
    default:
      return (msr >= 0x200 && msr <= 0x20F) || (msr >= 0x268 && msr <= 0x26F);
  }
}

// MSRs that the hypervisor answers for every guest though there is nothing behind them.
bool is_constant(std::uint32_t msr) {
  return msr == kMsrPlatformId || msr == kMsrMicrocode || msr == kMsrMiscEnable;
}

void merge(std::uint32_t& value, std::uint32_t output, std::uint32_t mask) {
  value = (value & ~mask) | (output & mask);
}

}  // namespace

CpuPolicy::CpuPolicy(const Properties& properties, std::uint64_t start_ns)
    : properties_(properties),
      hidden_(properties.hidden_features()),
      hyperv_(properties.synthetic.Bank0, {start_ns, properties.tsc_hz, properties.apic_hz}) {}

bool CpuPolicy::cpuid(std::uint32_t cpu, std::uint32_t function, std::uint32_t index,
                      std::array<std::uint32_t, 4>& out) const {
  if (function == 1) {
    out[2] |= 1u << 31;  // a hypervisor is present
    constexpr std::uint32_t kX2Apic = 1u << 21;
    if (properties_.local_apic_mode == WHvX64LocalApicEmulationModeX2Apic) {
      out[2] |= kX2Apic;
    } else {
      out[2] &= ~kX2Apic;
    }
    // Where the hypervisor has no local APIC the client may have one of its own.
    constexpr std::uint32_t kApic = 1u << 9;
    if (properties_.local_apic_mode == WHvX64LocalApicEmulationModeNone) out[3] |= kApic;
  } else if (function == 0x80000007) {
    out[3] |= 1u << 8;  // the TSC follows the host's clock, whatever the processor does
  } else if (function >= 0x40000000 && function <= 0x4FFFFFFF) {
    out = hyperv_.cpuid(function).value_or(std::array<std::uint32_t, 4>{});
  }
  hide_features(hidden_, function, index, out);

  for (const auto& result : properties_.cpuid_results) {
    if (result.Function != function) continue;
    out[0] = result.Eax;
    out[1] = result.Ebx;
    out[2] = result.Ecx;
    out[3] = result.Edx;
  }
  for (const auto& result : properties_.cpuid_results2) {
    const bool any_index = (result.Flags & WHvX64CpuidResult2FlagSubleafSpecific) == 0;
    const bool any_cpu = (result.Flags & WHvX64CpuidResult2FlagVpSpecific) == 0;
    if (result.Function != function || !(any_index || result.Index == index) ||
        !(any_cpu || result.VpIndex == cpu)) {
      continue;
    }
    merge(out[0], result.Output.Eax, result.Mask.Eax);
    merge(out[1], result.Output.Ebx, result.Mask.Ebx);
    merge(out[2], result.Output.Ecx, result.Mask.Ecx);
    merge(out[3], result.Output.Edx, result.Mask.Edx);
  }

  const auto& exits = properties_.cpuid_exits;
  return properties_.extended_vm_exits.X64CpuidExit != 0 &&
         std::find(exits.begin(), exits.end(), function) != exits.end();
}

WHV_MSR_ACTION CpuPolicy::listed_action(std::uint32_t msr, Access access) const {
  for (const auto& entry : properties_.msr_actions) {
    if (entry.Index != msr) continue;
    return static_cast<WHV_MSR_ACTION>(access == Access::kRead ? entry.ReadAction
                                                               : entry.WriteAction);
  }
  return WHvMsrActionArchitectureDefault;
}

MsrAnswer CpuPolicy::unknown_msr() const {
  switch (properties_.unimplemented_msr_action) {
    case WHvMsrActionIgnoreWriteReadZero:
      return MsrAnswer::kDone;
    case WHvMsrActionExit:
      return MsrAnswer::kExit;
    default: {
      const bool armed =
          properties_.extended_vm_exits.X64MsrExit != 0 && properties_.msr_exits.UnhandledMsrs != 0;
      return armed ? MsrAnswer::kExit : MsrAnswer::kFault;
    }
  }
}

MsrAnswer CpuPolicy::read_msr(std::uint32_t cpu, std::uint32_t msr, std::uint64_t now_ns,
                              std::uint64_t& value) const {
  value = 0;
  const WHV_MSR_ACTION listed = listed_action(msr, Access::kRead);
  if (listed == WHvMsrActionIgnoreWriteReadZero) return MsrAnswer::kDone;
  if (listed == WHvMsrActionExit) return MsrAnswer::kExit;

  const auto& exits = properties_.msr_exits;
  if (properties_.extended_vm_exits.X64MsrExit != 0 &&
      ((msr == kMsrMiscEnable && exits.MiscEnableMsrRead != 0) ||
       (msr == kMsrMicrocode && exits.McUpdatePatchLevelMsrRead != 0))) {
    return MsrAnswer::kExit;
  }
  if (const auto synthetic = hyperv_.read_msr(cpu, msr, now_ns)) {
    value = *synthetic;
    return MsrAnswer::kDone;
  }
  if (is_constant(msr)) {
    if (msr == kMsrMiscEnable) value = 1;  // fast string operations
    return MsrAnswer::kDone;
  }
  return engine_has(msr) ? MsrAnswer::kDefault : unknown_msr();
}

MsrAnswer CpuPolicy::write_msr(std::uint32_t msr, std::uint64_t value) {
  const WHV_MSR_ACTION listed = listed_action(msr, Access::kWrite);
  if (listed == WHvMsrActionIgnoreWriteReadZero) return MsrAnswer::kDone;
  if (listed == WHvMsrActionExit) return MsrAnswer::kExit;
  if (hyperv_.write_msr(msr, value) || is_constant(msr)) return MsrAnswer::kDone;
  return engine_has(msr) ? MsrAnswer::kDefault : unknown_msr();
}

}  // namespace runhv::winhv_linux
