// CPUID and MSRs: what properties make of them.
#include <functional>
#include <utility>

#include "conformance/case.h"
#include "conformance/expect.h"
#include "conformance/guest.h"

namespace runhv::conformance {
namespace {

constexpr Code::value_type kHlt = 0xF4;

// Runs CPUID of `function` in `guest` and leaves the answer in its registers.
void run_cpuid(Guest& guest, UINT32 function, UINT32 index = 0) {
  guest.load(kCodeGpa, {0x0F, 0xA2, kHlt});
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRax, function}, {WHvX64RegisterRcx, index}});
  ASSERT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64Halt);
}

void enable_exits(WHV_PARTITION_HANDLE handle, bool cpuid, bool msr) {
  WHV_EXTENDED_VM_EXITS exits{};
  exits.X64CpuidExit = cpuid;
  exits.X64MsrExit = msr;
  EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeExtendedVmExits, exits), S_OK);
}

CASE(Cpuid, HypervisorBitIsSet, kDocumented,
     "TLFS 2.4: a guest finds the hypervisor by CPUID.1:ECX[31]") {
  Guest guest;
  run_cpuid(guest, 1);
  EXPECT_EQ(guest.get(WHvX64RegisterRcx).Reg64 >> 31 & 1, 1u);
}

// What the capability tells of processors.
WHV_PROCESSOR_FEATURES_BANKS all_features() {
  WHV_PROCESSOR_FEATURES_BANKS banks{};
  banks.BanksCount = WHV_PROCESSOR_FEATURES_BANKS_COUNT;
  EXPECT_EQ(
      WHvGetCapability(WHvCapabilityCodeProcessorFeaturesBanks, &banks, sizeof banks, nullptr),
      S_OK);
  return banks;
}

CASE(Cpuid, TellsTheFeaturesOfTheCapability, kBelieved, "field guide 2.5: host values, masked") {
  const WHV_PROCESSOR_FEATURES_BANKS banks = all_features();
  WHV_PROCESSOR_XSAVE_FEATURES xsave{};
  ASSERT_EQ(
      WHvGetCapability(WHvCapabilityCodeProcessorXsaveFeatures, &xsave, sizeof xsave, nullptr),
      S_OK);
  Guest guest;
  run_cpuid(guest, 1);
  const UINT64 ecx1 = guest.get(WHvX64RegisterRcx).Reg64;
  run_cpuid(guest, 7);
  const UINT64 ebx7 = guest.get(WHvX64RegisterRbx).Reg64;
  const UINT64 edx7 = guest.get(WHvX64RegisterRdx).Reg64;
  run_cpuid(guest, 0x80000001);
  const UINT64 ecx_extended = guest.get(WHvX64RegisterRcx).Reg64;
  const UINT64 edx_extended = guest.get(WHvX64RegisterRdx).Reg64;
  const auto bit = [](UINT64 value, unsigned number) { return value >> number & 1; };
  const auto& can = banks.Bank0;
  EXPECT_EQ(can.Sse3Support, bit(ecx1, 0));
  EXPECT_EQ(can.PclmulqdqSupport, bit(ecx1, 1));
  EXPECT_EQ(can.Ssse3Support, bit(ecx1, 9));
  EXPECT_EQ(xsave.FmaSupport, bit(ecx1, 12));
  EXPECT_EQ(can.Cmpxchg16bSupport, bit(ecx1, 13));
  EXPECT_EQ(can.PcidSupport, bit(ecx1, 17));
  EXPECT_EQ(can.Sse4_1Support, bit(ecx1, 19));
  EXPECT_EQ(can.Sse4_2Support, bit(ecx1, 20));
  EXPECT_EQ(can.MovbeSupport, bit(ecx1, 22));
  EXPECT_EQ(can.PopCntSupport, bit(ecx1, 23));
  EXPECT_EQ(can.AesSupport, bit(ecx1, 25));
  EXPECT_EQ(xsave.XsaveSupport, bit(ecx1, 26));
  EXPECT_EQ(xsave.AvxSupport, bit(ecx1, 28));
  EXPECT_EQ(can.F16CSupport, bit(ecx1, 29));
  EXPECT_EQ(can.RdRandSupport, bit(ecx1, 30));
  EXPECT_EQ(can.RdWrFsGsSupport, bit(ebx7, 0));
  EXPECT_EQ(can.Bmi1Support, bit(ebx7, 3));
  EXPECT_EQ(can.HleSupport, bit(ebx7, 4));
  EXPECT_EQ(xsave.Avx2Support, bit(ebx7, 5));
  EXPECT_EQ(can.SmepSupport, bit(ebx7, 7));
  EXPECT_EQ(can.Bmi2Support, bit(ebx7, 8));
  EXPECT_EQ(can.EnhancedFastStringSupport, bit(ebx7, 9));
  EXPECT_EQ(can.InvpcidSupport, bit(ebx7, 10));
  EXPECT_EQ(can.RtmSupport, bit(ebx7, 11));
  EXPECT_EQ(can.RdSeedSupport, bit(ebx7, 18));
  EXPECT_EQ(can.AdxSupport, bit(ebx7, 19));
  EXPECT_EQ(can.SmapSupport, bit(ebx7, 20));
  EXPECT_EQ(can.ClflushoptSupport, bit(ebx7, 23));
  EXPECT_EQ(can.ShaSupport, bit(ebx7, 29));
  EXPECT_EQ(can.FastShortRepMovSupport, bit(edx7, 4));
  EXPECT_EQ(can.LahfSahfSupport, bit(ecx_extended, 0));
  EXPECT_EQ(can.LzcntSupport, bit(ecx_extended, 5));
  EXPECT_EQ(can.Page1GbSupport, bit(edx_extended, 26));
  EXPECT_EQ(can.RdtscpSupport, bit(edx_extended, 27));
}

CASE(Cpuid, FeaturesThatThePartitionIsNotGivenAreNotTold, kDocumented,
     "WHV_PARTITION_PROPERTY: ProcessorFeaturesBanks") {
  WHV_PROCESSOR_FEATURES_BANKS fewer = all_features();
  ASSERT_TRUE(fewer.Bank0.PopCntSupport && fewer.Bank0.LahfSahfSupport && fewer.Bank0.Sse3Support);
  fewer.Bank0.PopCntSupport = 0;
  fewer.Bank0.LahfSahfSupport = 0;
  Guest guest({.configure = [&](WHV_PARTITION_HANDLE handle) {
    EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeProcessorFeaturesBanks, fewer), S_OK);
  }});
  run_cpuid(guest, 1);
  EXPECT_EQ(guest.get(WHvX64RegisterRcx).Reg64 >> 23 & 1, 0u);
  EXPECT_EQ(guest.get(WHvX64RegisterRcx).Reg64 & 1, 1u);  // SSE3 is left
  run_cpuid(guest, 0x80000001, 9);                        // of this function ECX says nothing
  EXPECT_EQ(guest.get(WHvX64RegisterRcx).Reg64 & 1, 0u);
}

CASE(Cpuid, TheOlderPropertyOfFeaturesIsTheFirstBank, kReported, "field guide 2.1: legacy bank 0") {
  WHV_PROCESSOR_FEATURES fewer = all_features().Bank0;
  ASSERT_TRUE(fewer.PopCntSupport != 0);
  fewer.PopCntSupport = 0;
  Guest guest({.configure = [&](WHV_PARTITION_HANDLE handle) {
    EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeProcessorFeatures, fewer), S_OK);
    WHV_PROCESSOR_FEATURES_BANKS banks{};
    EXPECT_EQ(WHvGetPartitionProperty(handle, WHvPartitionPropertyCodeProcessorFeaturesBanks,
                                      &banks, sizeof banks, nullptr),
              S_OK);
    EXPECT_EQ(banks.Bank0.AsUINT64, fewer.AsUINT64);
  }});
  run_cpuid(guest, 1);
  EXPECT_EQ(guest.get(WHvX64RegisterRcx).Reg64 >> 23 & 1, 0u);
}

CASE(Cpuid, XsaveFeaturesThatThePartitionIsNotGivenAreNotTold, kDocumented,
     "WHV_PARTITION_PROPERTY: ProcessorXsaveFeatures") {
  WHV_PROCESSOR_XSAVE_FEATURES fewer{};
  ASSERT_EQ(
      WHvGetCapability(WHvCapabilityCodeProcessorXsaveFeatures, &fewer, sizeof fewer, nullptr),
      S_OK);
  if (fewer.AvxSupport == 0) SKIP_CASE("the capability has no AVX to leave out");
  // What needs AVX goes with it.
  fewer.AsUINT64 = 0;
  fewer.XsaveSupport = 1;
  Guest guest({.configure = [&](WHV_PARTITION_HANDLE handle) {
    EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeProcessorXsaveFeatures, fewer), S_OK);
  }});
  run_cpuid(guest, 1);
  EXPECT_EQ(guest.get(WHvX64RegisterRcx).Reg64 >> 28 & 1, 0u);
  EXPECT_EQ(guest.get(WHvX64RegisterRcx).Reg64 >> 26 & 1, 1u);
  run_cpuid(guest, 0xD, 0);
  EXPECT_EQ(guest.get(WHvX64RegisterRax).Reg64 >> 2 & 1, 0u);
}

CASE(Cpuid, X2ApicBitFollowsTheApicMode, kReported, "field guide 2.2: VirtualBox, OpenVMM") {
  for (const auto mode : {WHvX64LocalApicEmulationModeXApic, WHvX64LocalApicEmulationModeX2Apic}) {
    Guest guest({.apic = mode});
    guest.load(kCodeGpa, Code{0x0F, 0xA2} + out(0x80));
    guest.enter_long_mode();
    guest.set({{WHvX64RegisterRax, 1}, {WHvX64RegisterRcx, 0}});
    ASSERT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
    EXPECT_EQ(guest.get(WHvX64RegisterRcx).Reg64 >> 21 & 1,
              mode == WHvX64LocalApicEmulationModeX2Apic ? 1u : 0u);
  }
}

CASE(Cpuid, AnApicIsToldOfWhoeverHasIt, kReported,
     "QEMU 11, kernel-irqchip=off: its guests find its own APIC, and it sets no leaf") {
  Guest guest;
  run_cpuid(guest, 1);
  EXPECT_EQ(guest.get(WHvX64RegisterRdx).Reg64 >> 9 & 1, 1u);
}

CASE(Cpuid, ResultListReplacesTheLeaf, kReported, "field guide 2.5: QEMU, libkrun") {
  Guest guest({.configure = [](WHV_PARTITION_HANDLE handle) {
    const WHV_X64_CPUID_RESULT result{0x40000000, {}, 1, 2, 3, 4};
    EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeCpuidResultList, result), S_OK);
  }});
  run_cpuid(guest, 0x40000000);
  EXPECT_EQ(guest.get(WHvX64RegisterRax).Reg64, 1u);
  EXPECT_EQ(guest.get(WHvX64RegisterRbx).Reg64, 2u);
  EXPECT_EQ(guest.get(WHvX64RegisterRcx).Reg64, 3u);
  EXPECT_EQ(guest.get(WHvX64RegisterRdx).Reg64, 4u);
}

CASE(Cpuid, ResultList2MergesUnderItsMask, kDocumented, "header: WHV_X64_CPUID_RESULT2") {
  Guest plain;
  run_cpuid(plain, 1);
  const UINT64 default_eax = plain.get(WHvX64RegisterRax).Reg64;

  ASSERT_EQ(WHvUnmapGpaRange(plain.handle(), 0, kRamBytes), S_OK);
  Guest guest({.configure = [](WHV_PARTITION_HANDLE handle) {
    WHV_X64_CPUID_RESULT2 result{};
    result.Function = 1;
    result.Output.Eax = 0xFF;
    result.Mask.Eax = 0xF;
    EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeCpuidResultList2, result), S_OK);
  }});
  run_cpuid(guest, 1);
  EXPECT_EQ(guest.get(WHvX64RegisterRax).Reg64, (default_eax & ~UINT64{0xF}) | 0xF);
}

CASE(Cpuid, ExitCarriesTheDefaultAndTakesTheClientsAnswer, kDocumented,
     "WHV_X64_CPUID_ACCESS_CONTEXT; field guide 1.5, 2.5") {
  Guest plain;
  run_cpuid(plain, 0);
  const UINT64 rax = plain.get(WHvX64RegisterRax).Reg64;
  const UINT64 rbx = plain.get(WHvX64RegisterRbx).Reg64;
  const UINT64 rcx = plain.get(WHvX64RegisterRcx).Reg64;
  const UINT64 rdx = plain.get(WHvX64RegisterRdx).Reg64;
  ASSERT_EQ(WHvUnmapGpaRange(plain.handle(), 0, kRamBytes), S_OK);

  Guest guest({.configure = [](WHV_PARTITION_HANDLE handle) {
    enable_exits(handle, true, false);
    const UINT32 leaf = 0;
    EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeCpuidExitList, leaf), S_OK);
  }});
  guest.load(kCodeGpa, {0x0F, 0xA2, kHlt});
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRax, 0}, {WHvX64RegisterRcx, 9}});
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64Cpuid);
  EXPECT_EQ(exit.VpContext.Rip, kCodeGpa);
  EXPECT_EQ(exit.VpContext.InstructionLength, 2);
  EXPECT_EQ(exit.CpuidAccess.Rax, 0u);
  EXPECT_EQ(exit.CpuidAccess.Rcx, 9u);
  EXPECT_EQ(exit.CpuidAccess.DefaultResultRax, rax);
  EXPECT_EQ(exit.CpuidAccess.DefaultResultRbx, rbx);
  EXPECT_EQ(exit.CpuidAccess.DefaultResultRcx, rcx);
  EXPECT_EQ(exit.CpuidAccess.DefaultResultRdx, rdx);

  guest.complete(exit, {{WHvX64RegisterRax, 7}});
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64Halt);
  EXPECT_EQ(guest.get(WHvX64RegisterRax).Reg64, 7u);
}

CASE(Cpuid, ExitListChangesAfterSetup, kDocumented, "WHvSetPartitionProperty") {
  Guest guest({.configure = [](auto handle) { enable_exits(handle, true, false); }});
  const UINT32 leaf = 2;
  ASSERT_EQ(set_property(guest.handle(), WHvPartitionPropertyCodeCpuidExitList, leaf), S_OK);
  guest.load(kCodeGpa, {0x0F, 0xA2});
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRax, leaf}});
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64Cpuid);
}

// ---- MSRs ----

constexpr UINT32 kUnknownMsr = 0xC0010015;

Code rdmsr_then_out() { return Code{0x0F, 0x32} + out(0x80); }

void set_msr_exits(WHV_PARTITION_HANDLE handle) {
  WHV_X64_MSR_EXIT_BITMAP msrs{};
  msrs.UnhandledMsrs = 1;
  EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeX64MsrExitBitmap, msrs), S_OK);
}

void arm_msr_exits(WHV_PARTITION_HANDLE handle) {
  enable_exits(handle, false, true);
  set_msr_exits(handle);
}

// Reads kUnknownMsr and reports on port 0x80; on 0x81 where it faults.
class MsrReader : public Guest {
 public:
  explicit MsrReader(std::function<void(WHV_PARTITION_HANDLE)> configure = nullptr,
                     const Code& then = {})
      : Guest({.configure = std::move(configure)}) {
    load(kCodeGpa, rdmsr_then_out() + then);
    load(kHandlerGpa, out(0x81));
    set_gate(13, kHandlerGpa);
    enter_long_mode();
    set({{WHvX64RegisterRcx, kUnknownMsr}});
  }
};

CASE(Msr, UnknownOneExitsWhereArmed, kDocumented, "WHV_X64_MSR_ACCESS_CONTEXT; field guide 2.8") {
  MsrReader guest(arm_msr_exits, wrmsr(kUnknownMsr, 0x1122334455667788));
  const auto read = guest.run();
  ASSERT_EQ(read.ExitReason, WHvRunVpExitReasonX64MsrAccess);
  EXPECT_EQ(read.MsrAccess.AccessInfo.IsWrite, 0u);
  EXPECT_EQ(read.MsrAccess.MsrNumber, kUnknownMsr);
  EXPECT_EQ(read.VpContext.Rip, kCodeGpa);
  EXPECT_EQ(read.VpContext.InstructionLength, 2);
  guest.complete(read, {{WHvX64RegisterRax, 0x55}, {WHvX64RegisterRdx, 0}});
  const auto report = guest.run();
  ASSERT_EQ(report.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(report.IoPortAccess.Rax, 0x55u);
  guest.complete(report);

  const auto write = guest.run();
  ASSERT_EQ(write.ExitReason, WHvRunVpExitReasonX64MsrAccess);
  EXPECT_EQ(write.MsrAccess.AccessInfo.IsWrite, 1u);
  EXPECT_EQ(write.MsrAccess.Rax, 0x55667788u);
  EXPECT_EQ(write.MsrAccess.Rdx, 0x11223344u);
}

CASE(Msr, UnknownOneFaultsWhereNotArmed, kDocumented, "field guide 2.8") {
  MsrReader guest;
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(exit.IoPortAccess.PortNumber, 0x81);
}

CASE(Msr, UnknownOneReadsZeroWhereIgnored, kDocumented, "header: UnimplementedMsrAction") {
  Guest guest({.configure = [](WHV_PARTITION_HANDLE handle) {
    const WHV_MSR_ACTION action = WHvMsrActionIgnoreWriteReadZero;
    EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeUnimplementedMsrAction, action), S_OK);
  }});
  guest.load(kCodeGpa, wrmsr(kUnknownMsr, 5) + rdmsr_then_out());
  guest.enter_long_mode();
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(exit.IoPortAccess.PortNumber, 0x80);
  EXPECT_EQ(exit.IoPortAccess.Rax, 0u);
}

CASE(Msr, ActionListExitsForAKnownMsr, kDocumented, "header: WHV_MSR_ACTION_ENTRY") {
  constexpr UINT32 kPat = 0x277;
  Guest guest({.configure = [](WHV_PARTITION_HANDLE handle) {
    const WHV_MSR_ACTION_ENTRY entry{kPat, WHvMsrActionExit, WHvMsrActionIgnoreWriteReadZero, 0};
    EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeMsrActionList, entry), S_OK);
  }});
  guest.load(kCodeGpa, wrmsr(kPat, 0) + rdmsr_then_out());
  guest.enter_long_mode();
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64MsrAccess);
  EXPECT_EQ(exit.MsrAccess.MsrNumber, kPat);
  EXPECT_NE(guest.get(WHvX64RegisterPat).Reg64, 0u);  // the write was ignored
}

// ---- Hyper-V ----

void enlighten(WHV_PARTITION_HANDLE handle) {
  WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS banks{};
  banks.BanksCount = 1;
  banks.Bank0.HypervisorPresent = 1;
  banks.Bank0.Hv1 = 1;
  banks.Bank0.AccessPartitionReferenceCounter = 1;
  banks.Bank0.AccessHypercallRegs = 1;
  banks.Bank0.AccessVpIndex = 1;
  banks.Bank0.AccessFrequencyRegs = 1;
  EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeSyntheticProcessorFeaturesBanks, banks),
            S_OK);
}

CASE(Enlightenments, LeavesNameMicrosoftAndTheFrequencies, kReported,
     "field guide 2.6: QEMU, OpenVMM; TLFS 2.4") {
  Guest guest({.configure = enlighten});
  run_cpuid(guest, 0x40000000);
  EXPECT_GE(guest.get(WHvX64RegisterRax).Reg64, 0x40000005u);
  EXPECT_EQ(guest.get(WHvX64RegisterRbx).Reg64, 0x7263694Du);  // "Micr"
  EXPECT_EQ(guest.get(WHvX64RegisterRcx).Reg64, 0x666F736Fu);  // "osof"
  EXPECT_EQ(guest.get(WHvX64RegisterRdx).Reg64, 0x76482074u);  // "t Hv"
  run_cpuid(guest, 0x40000001);
  EXPECT_EQ(guest.get(WHvX64RegisterRax).Reg64, 0x31237648u);  // "Hv#1"
  run_cpuid(guest, 0x40000003);
  const UINT64 privileges = guest.get(WHvX64RegisterRax).Reg64;
  for (const int bit : {1, 5, 6, 11}) EXPECT_EQ(privileges >> bit & 1, 1u) << bit;
  EXPECT_EQ(guest.get(WHvX64RegisterRdx).Reg64 >> 8 & 1, 1u);
}

UINT64 read_msr(Guest& guest, UINT32 msr) {
  guest.load(kCodeGpa, rdmsr_then_out());
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRcx, msr}});
  const auto exit = guest.run();
  EXPECT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  return (exit.IoPortAccess.Rax & 0xFFFFFFFF) | guest.get(WHvX64RegisterRdx).Reg64 << 32;
}

CASE(Enlightenments, FrequencyMsrsTellWhatCapabilitiesTell, kReported,
     "field guide 2.6, 2.7; TLFS 12.5") {
  UINT64 tsc_hz = 0;
  UINT64 apic_hz = 0;
  ASSERT_EQ(WHvGetCapability(WHvCapabilityCodeProcessorClockFrequency, &tsc_hz, 8, nullptr), S_OK);
  ASSERT_EQ(WHvGetCapability(WHvCapabilityCodeInterruptClockFrequency, &apic_hz, 8, nullptr), S_OK);
  Guest guest({.configure = enlighten});
  EXPECT_EQ(read_msr(guest, 0x40000022), tsc_hz);
  EXPECT_EQ(read_msr(guest, 0x40000023), apic_hz);
}

CASE(Enlightenments, VpIndexAndReferenceCounter, kDocumented, "TLFS 7.8.1, 12.4") {
  Guest guest({.configure = enlighten});
  EXPECT_EQ(read_msr(guest, 0x40000002), 0u);
  const UINT64 before = read_msr(guest, 0x40000020);
  EXPECT_GT(read_msr(guest, 0x40000020), before);
}

CASE(Cpuid, WithoutAListItIsNoExit, kDocumented, "CpuidExitList") {
  Guest guest({.configure = [](auto handle) { enable_exits(handle, true, false); }});
  run_cpuid(guest, 0);
  EXPECT_GE(guest.get(WHvX64RegisterRax).Reg64, 0xDu);
}

CASE(Cpuid, AListWithoutTheExtendedExitIsNoExit, kDocumented, "field guide 2.5") {
  Guest guest({.configure = [](WHV_PARTITION_HANDLE handle) {
    EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeCpuidExitList, UINT32{0}), S_OK);
  }});
  run_cpuid(guest, 0);
}

CASE(Cpuid, OtherLeavesDoNotExit, kDocumented, "CpuidExitList") {
  Guest guest({.configure = [](WHV_PARTITION_HANDLE handle) {
    enable_exits(handle, true, false);
    EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeCpuidExitList, UINT32{1}), S_OK);
  }});
  run_cpuid(guest, 0);
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRax, 1}});
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64Cpuid);
}

CASE(Cpuid, AnExitComesAgain, kReported, "field guide 1.5: the guest is not advanced") {
  Guest guest({.configure = [](WHV_PARTITION_HANDLE handle) {
    enable_exits(handle, true, false);
    EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeCpuidExitList, UINT32{1}), S_OK);
  }});
  guest.load(kCodeGpa, {0x0F, 0xA2});
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRax, 1}});
  for (int i = 0; i < 3; ++i) {
    const auto exit = guest.run();
    ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64Cpuid);
    EXPECT_EQ(exit.VpContext.Rip, kCodeGpa);
    EXPECT_EQ(exit.CpuidAccess.Rax, 1u);
  }
}

CASE(Cpuid, AResultIsOfEverySubleaf, kReported, "field guide 2.5: no sub-leaf selection") {
  Guest guest({.configure = [](WHV_PARTITION_HANDLE handle) {
    const WHV_X64_CPUID_RESULT result{0xB, {}, 1, 2, 3, 4};
    EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeCpuidResultList, result), S_OK);
  }});
  for (const UINT32 index : {0u, 1u, 5u}) {
    run_cpuid(guest, 0xB, index);
    EXPECT_EQ(guest.get(WHvX64RegisterRax).Reg64, 1u) << index;
  }
}

CASE(Cpuid, AResult2MayBeOfOneSubleaf, kDocumented,
     "header: WHvX64CpuidResult2FlagSubleafSpecific") {
  Guest guest({.configure = [](WHV_PARTITION_HANDLE handle) {
    WHV_X64_CPUID_RESULT2 result{};
    result.Function = 0x40000000;
    result.Index = 1;
    result.Flags = WHvX64CpuidResult2FlagSubleafSpecific;
    result.Output.Edx = 0x5555;
    result.Mask.Edx = 0xFFFFFFFF;
    EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeCpuidResultList2, result), S_OK);
  }});
  run_cpuid(guest, 0x40000000, 0);
  EXPECT_NE(guest.get(WHvX64RegisterRdx).Reg64, 0x5555u);
  run_cpuid(guest, 0x40000000, 1);
  EXPECT_EQ(guest.get(WHvX64RegisterRdx).Reg64, 0x5555u);
}

CASE(Cpuid, AResult2MayBeOfOneProcessor, kDocumented, "header: WHvX64CpuidResult2FlagVpSpecific") {
  Guest guest({.processors = 2,
               .apic = WHvX64LocalApicEmulationModeX2Apic,
               .configure = [](WHV_PARTITION_HANDLE handle) {
                 WHV_X64_CPUID_RESULT2 result{};
                 result.Function = 0x40000000;
                 result.VpIndex = 1;
                 result.Flags = WHvX64CpuidResult2FlagVpSpecific;
                 result.Output.Edx = 0x5555;
                 result.Mask.Edx = 0xFFFFFFFF;
                 EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeCpuidResultList2, result),
                           S_OK);
               }});
  guest.load(kCodeGpa, Code{0x0F, 0xA2} + out(0x80));
  for (UINT32 vp = 0; vp < 2; ++vp) {
    guest.enter_long_mode(kCodeGpa, vp);
    guest.set({{WHvX64RegisterRax, 0x40000000}, {WHvRegisterInternalActivityState, 0}}, vp);
    ASSERT_EQ(guest.run(vp).ExitReason, WHvRunVpExitReasonX64IoPortAccess);
    EXPECT_EQ(guest.get(WHvX64RegisterRdx, vp).Reg64 == 0x5555u, vp == 1);
  }
}

CASE(Cpuid, TheApicIdIsInLeaf11, kReported, "field guide 2.5: not reliably; clients repair it") {
  Guest guest({.apic = WHvX64LocalApicEmulationModeX2Apic});
  guest.load(kCodeGpa, Code{0x0F, 0xA2} + out(0x80));
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRax, 0xB}, {WHvX64RegisterRcx, 0}});
  ASSERT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(guest.get(WHvX64RegisterRdx).Reg64, 0u);
}

CASE(Enlightenments, NotAskedForThereAreNoLeaves, kReported, "field guide 2.6: libkrun") {
  Guest guest;
  run_cpuid(guest, 0x40000000);
  EXPECT_NE(guest.get(WHvX64RegisterRbx).Reg64, 0x7263694Du);
}

CASE(Enlightenments, NotAskedForTheirMsrsFault, kReported, "field guide 2.6") {
  Guest guest;
  guest.load(kCodeGpa, rdmsr_then_out());
  guest.load(kHandlerGpa, out(0x81));
  guest.set_gate(13, kHandlerGpa);
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRcx, 0x40000022}});
  EXPECT_EQ(guest.run().IoPortAccess.PortNumber, 0x81);
}

CASE(Enlightenments, TheGuestsIdentityIsKept, kDocumented, "TLFS 2.6") {
  Guest guest({.configure = enlighten});
  guest.load(kCodeGpa, wrmsr(0x40000000, 0x8100060C00000000) + out(0x80));
  guest.enter_long_mode();
  ASSERT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(read_msr(guest, 0x40000000), 0x8100060C00000000u);
}

CASE(Enlightenments, TheReferenceCounterIsOfTheWholePartition, kDocumented, "TLFS 12.4") {
  Guest guest(
      {.processors = 2, .apic = WHvX64LocalApicEmulationModeX2Apic, .configure = enlighten});
  guest.load(kCodeGpa, rdmsr_then_out());
  UINT64 last = 0;
  for (UINT32 vp = 0; vp < 2; ++vp) {
    guest.enter_long_mode(kCodeGpa, vp);
    guest.set({{WHvX64RegisterRcx, 0x40000020}, {WHvRegisterInternalActivityState, 0}}, vp);
    const auto exit = guest.run(vp);
    ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
    const UINT64 now = (exit.IoPortAccess.Rax & 0xFFFFFFFF) | guest.get(WHvX64RegisterRdx, vp).Reg64
                                                                  << 32;
    EXPECT_GE(now, last);
    last = now;
  }
}

CASE(Msr, AnExitComesAgain, kReported, "field guide 1.5: the guest is not advanced") {
  MsrReader guest(arm_msr_exits);
  for (int i = 0; i < 3; ++i) {
    const auto exit = guest.run();
    ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64MsrAccess);
    EXPECT_EQ(exit.VpContext.Rip, kCodeGpa);
  }
}

CASE(Msr, TheBitmapAloneArmsNothing, kDocumented, "field guide 2.1: effective only with the exit") {
  MsrReader guest(set_msr_exits);
  EXPECT_EQ(guest.run().IoPortAccess.PortNumber, 0x81);
}

CASE(Msr, ExitsAreArmedAfterSetup, kDocumented, "WHvSetPartitionProperty") {
  MsrReader guest;
  arm_msr_exits(guest.handle());
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64MsrAccess);
}

CASE(Msr, KnownOnesAreTheRegisters, kDocumented, "WHvGetVirtualProcessorRegisters") {
  const std::pair<UINT32, WHV_REGISTER_NAME> pairs[] = {{0x277, WHvX64RegisterPat},
                                                        {0x174, WHvX64RegisterSysenterCs},
                                                        {0x175, WHvX64RegisterSysenterEsp},
                                                        {0x176, WHvX64RegisterSysenterEip},
                                                        {0xC0000081, WHvX64RegisterStar},
                                                        {0xC0000082, WHvX64RegisterLstar},
                                                        {0xC0000083, WHvX64RegisterCstar},
                                                        {0xC0000084, WHvX64RegisterSfmask},
                                                        {0xC0000102, WHvX64RegisterKernelGsBase},
                                                        {0xC0000103, WHvX64RegisterTscAux}};
  Guest guest;
  for (const auto& [msr, name] : pairs) {
    constexpr UINT64 kValue = 0x0007040600070406;  // of PAT; the others take any canonical one
    const UINT64 value = msr == 0x277 ? kValue : 0x1230;
    guest.load(kCodeGpa, wrmsr(msr, value) + out(0x80));
    guest.enter_long_mode();
    ASSERT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
    EXPECT_EQ(guest.get(name).Reg64, value) << std::hex << msr;
  }
}

CASE(Msr, AnUnknownWriteIsIgnoredWhereListed, kDocumented, "header: WHV_MSR_ACTION_ENTRY") {
  Guest guest({.configure = [](WHV_PARTITION_HANDLE handle) {
    const WHV_MSR_ACTION_ENTRY entry{kUnknownMsr, WHvMsrActionIgnoreWriteReadZero,
                                     WHvMsrActionIgnoreWriteReadZero, 0};
    EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeMsrActionList, entry), S_OK);
  }});
  guest.load(kCodeGpa, wrmsr(kUnknownMsr, 5) + rdmsr_then_out());
  guest.enter_long_mode();
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(exit.IoPortAccess.Rax, 0u);
}

CASE(Msr, AnswersOfTheClientMayBeAFault, kReported, "field guide 2.8: by PendingEvent") {
  MsrReader guest(arm_msr_exits);
  ASSERT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64MsrAccess);
  // Pending, an exception with an error code, #GP.
  guest.set({{WHvRegisterPendingEvent, 1 | 1 << 8 | UINT64{13} << 16}});
  const auto fault = guest.run();
  ASSERT_EQ(fault.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(fault.IoPortAccess.PortNumber, 0x81);
  EXPECT_EQ(guest.read64(guest.get(WHvX64RegisterRsp).Reg64 + 8), kCodeGpa);  // RIP of the fault
}

}  // namespace
}  // namespace runhv::conformance
