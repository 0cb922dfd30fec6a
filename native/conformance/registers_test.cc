// Registers: round trips, and batches that apply as a whole or not at all.

#include "conformance/case.h"
#include "conformance/expect.h"
#include "conformance/guest.h"

namespace runhv::conformance {
namespace {

struct RoundTrip {
  WHV_REGISTER_NAME name;
  UINT64 low;
  UINT64 high = 0;
};

// Values that every x86-64 processor accepts in 64-bit mode.
const RoundTrip kRoundTrips[] = {
    {WHvX64RegisterRax, 0x0102030405060708},
    {WHvX64RegisterRcx, 0x1112131415161718},
    {WHvX64RegisterRdx, 0x2122232425262728},
    {WHvX64RegisterRbx, 0x3132333435363738},
    {WHvX64RegisterRsp, 0x4142434445464748},
    {WHvX64RegisterRbp, 0x5152535455565758},
    {WHvX64RegisterRsi, 0x6162636465666768},
    {WHvX64RegisterRdi, 0x7172737475767778},
    {WHvX64RegisterR8, 0x8182838485868788},
    {WHvX64RegisterR9, 9},
    {WHvX64RegisterR10, 10},
    {WHvX64RegisterR11, 11},
    {WHvX64RegisterR12, 12},
    {WHvX64RegisterR13, 13},
    {WHvX64RegisterR14, 14},
    {WHvX64RegisterR15, 0xFFFFFFFFFFFFFFFF},
    {WHvX64RegisterRip, 0x7FFFFFFFF000},
    {WHvX64RegisterRflags, 0x246},
    {WHvX64RegisterCr2, 0xDEADBEEF000},
    {WHvX64RegisterCr3, 0x10000},
    {WHvX64RegisterCr8, 5},
    {WHvX64RegisterDr0, 0x1000},
    {WHvX64RegisterDr1, 0x2000},
    {WHvX64RegisterDr2, 0x3000},
    {WHvX64RegisterDr3, 0x4000},
    {WHvX64RegisterDr7, 0x400},
    {WHvX64RegisterXmm0, 0x0123456789ABCDEF, 0xFEDCBA9876543210},
    {WHvX64RegisterXmm7, 7, 77},
    {WHvX64RegisterXmm15, 15, 1515},
    {WHvX64RegisterKernelGsBase, 0xFFFF800000001000},
    {WHvX64RegisterStar, 0x0023001000000000},
    {WHvX64RegisterLstar, 0xFFFFFFFF81000000},
    {WHvX64RegisterCstar, 0xFFFFFFFF81001000},
    {WHvX64RegisterSfmask, 0x47700},
    {WHvX64RegisterSysenterCs, 0x10},
    {WHvX64RegisterSysenterEip, 0xFFFFFFFF81002000},
    {WHvX64RegisterSysenterEsp, 0xFFFFFFFF81003000},
    {WHvX64RegisterPat, 0x0007040600070406},
    {WHvX64RegisterTscAux, 3},
    {WHvX64RegisterEfer, 0xD01},
    {WHvX64RegisterXCr0, 7},
    {WHvRegisterInterruptState, 1},
};

CASE(Registers, EachKeepsItsValue, kDocumented, "WHvSetVirtualProcessorRegisters") {
  Guest guest;
  guest.enter_long_mode();
  for (const RoundTrip& wanted : kRoundTrips) {
    WHV_REGISTER_VALUE value{};
    value.Reg128.Low64 = wanted.low;
    value.Reg128.High64 = wanted.high;
    ASSERT_EQ(WHvSetVirtualProcessorRegisters(guest.handle(), 0, &wanted.name, 1, &value), S_OK)
        << std::hex << wanted.name;
  }
  for (const RoundTrip& wanted : kRoundTrips) {
    const WHV_REGISTER_VALUE value = guest.get(wanted.name);
    EXPECT_EQ(value.Reg128.Low64, wanted.low) << std::hex << wanted.name;
    if (wanted.high != 0) {
      EXPECT_EQ(value.Reg128.High64, wanted.high) << std::hex << wanted.name;
    }
  }
}

CASE(Registers, SegmentsAndTablesKeepTheirParts, kDocumented,
     "WHV_X64_SEGMENT_REGISTER, WHV_X64_TABLE_REGISTER") {
  Guest guest;
  guest.enter_long_mode();
  WHV_REGISTER_VALUE segment{};
  segment.Segment.Base = 0x12345000;
  segment.Segment.Limit = 0xFFFFFFFF;
  segment.Segment.Selector = 0x2B;
  segment.Segment.Attributes = 0xC0F3;
  for (const auto name : {WHvX64RegisterFs, WHvX64RegisterGs}) {
    ASSERT_EQ(WHvSetVirtualProcessorRegisters(guest.handle(), 0, &name, 1, &segment), S_OK);
    const WHV_X64_SEGMENT_REGISTER got = guest.get(name).Segment;
    EXPECT_EQ(got.Base, segment.Segment.Base);
    EXPECT_EQ(got.Limit, segment.Segment.Limit);
    EXPECT_EQ(got.Selector, segment.Segment.Selector);
    EXPECT_EQ(got.Attributes, segment.Segment.Attributes);
  }
  WHV_REGISTER_VALUE table{};
  table.Table.Base = 0xFFFF800000123000;
  table.Table.Limit = 0x7F;
  for (const auto name : {WHvX64RegisterGdtr, WHvX64RegisterIdtr}) {
    ASSERT_EQ(WHvSetVirtualProcessorRegisters(guest.handle(), 0, &name, 1, &table), S_OK);
    EXPECT_EQ(guest.get(name).Table.Base, table.Table.Base);
    EXPECT_EQ(guest.get(name).Table.Limit, table.Table.Limit);
  }
}

CASE(Registers, FpuStateKeepsItsParts, kDocumented, "WHV_X64_FP_CONTROL_STATUS_REGISTER") {
  Guest guest;
  WHV_REGISTER_VALUE control{};
  control.FpControlStatus.FpControl = 0x27F;
  control.FpControlStatus.FpTag = 0x01;
  WHV_REGISTER_VALUE mxcsr{};
  mxcsr.XmmControlStatus.XmmStatusControl = 0x1F80;
  mxcsr.XmmControlStatus.XmmStatusControlMask = 0xFFFF;
  WHV_REGISTER_VALUE one{};
  one.Fp.Mantissa = UINT64{1} << 63;
  one.Fp.BiasedExponent = 0x3FFF;
  const WHV_REGISTER_NAME names[] = {WHvX64RegisterFpControlStatus, WHvX64RegisterXmmControlStatus,
                                     WHvX64RegisterFpMmx0};
  const WHV_REGISTER_VALUE values[] = {control, mxcsr, one};
  ASSERT_EQ(WHvSetVirtualProcessorRegisters(guest.handle(), 0, names, 3, values), S_OK);
  EXPECT_EQ(guest.get(WHvX64RegisterFpControlStatus).FpControlStatus.FpControl, 0x27F);
  EXPECT_EQ(guest.get(WHvX64RegisterFpControlStatus).FpControlStatus.FpTag, 0x01);
  EXPECT_EQ(guest.get(WHvX64RegisterXmmControlStatus).XmmControlStatus.XmmStatusControl, 0x1F80u);
  EXPECT_EQ(guest.get(WHvX64RegisterFpMmx0).Fp.Mantissa, UINT64{1} << 63);
  EXPECT_EQ(guest.get(WHvX64RegisterFpMmx0).Fp.BiasedExponent, 0x3FFF);
}

CASE(Registers, TscCanBeSetAndGoesOn, kReported, "field guide 2.7") {
  Guest guest;
  constexpr UINT64 kTsc = UINT64{1} << 50;
  guest.set({{WHvX64RegisterTsc, kTsc}});
  EXPECT_GE(guest.get(WHvX64RegisterTsc).Reg64, kTsc);
  EXPECT_LT(guest.get(WHvX64RegisterTsc).Reg64, kTsc << 1);
}

CASE(Registers, ApicBaseTellsTheBase, kDocumented, "Intel SDM Vol.3 11.4.4") {
  Guest guest({.apic = WHvX64LocalApicEmulationModeX2Apic});
  EXPECT_EQ(guest.get(WHvX64RegisterApicBase).Reg64 & 0xFFFFF000, 0xFEE00000u);
}

// Its batch of all registers has it whoever emulates the APIC, and could set and get none of them
// where it were refused. Field guide 1.7 tells of a client that saw it refused on 19045.
CASE(Registers, ApicBaseIsInABatchWithoutAnApicToo, kReported, "QEMU 11, kernel-irqchip=off") {
  Guest guest;
  const WHV_REGISTER_NAME names[] = {WHvX64RegisterRax, WHvX64RegisterApicBase};
  alignas(16) WHV_REGISTER_VALUE values[2]{};
  values[0].Reg64 = 7;
  values[1].Reg64 = 0xFEE00900;  // enabled, of the processor that boots
  EXPECT_EQ(WHvSetVirtualProcessorRegisters(guest.handle(), 0, names, 2, values), S_OK);
  values[0].Reg64 = 0;
  EXPECT_EQ(WHvGetVirtualProcessorRegisters(guest.handle(), 0, names, 2, values), S_OK);
  EXPECT_EQ(values[0].Reg64, 7u);
}

// What it reads it takes for its own APIC's: one that is not enabled takes no interrupt.
CASE(Registers, ApicBaseIsTheClientsWithoutAnApic, kReported, "QEMU 11, kernel-irqchip=off") {
  Guest guest({.processors = 2});
  EXPECT_EQ(guest.get(WHvX64RegisterApicBase).Reg64, 0xFEE00900u);  // enabled, of the first
  EXPECT_EQ(guest.get(WHvX64RegisterApicBase, 1).Reg64, 0xFEE00800u);
  guest.set({{WHvX64RegisterApicBase, 0xFEE00C00}}, 1);
  EXPECT_EQ(guest.get(WHvX64RegisterApicBase, 1).Reg64, 0xFEE00C00u);
}

CASE(Registers, ABadNameFailsTheWholeBatch, kReported, "field guide 1.7: entangled") {
  Guest guest;
  guest.set({{WHvX64RegisterRax, 1}});
  const WHV_REGISTER_NAME names[] = {WHvX64RegisterRax, static_cast<WHV_REGISTER_NAME>(0x7777)};
  WHV_REGISTER_VALUE values[2]{};
  values[0].Reg64 = 2;
  EXPECT_EQ(WHvSetVirtualProcessorRegisters(guest.handle(), 0, names, 2, values),
            WHV_E_INVALID_VP_REGISTER_NAME);
  EXPECT_EQ(guest.get(WHvX64RegisterRax).Reg64, 1u);
  EXPECT_EQ(WHvGetVirtualProcessorRegisters(guest.handle(), 0, names, 2, values),
            WHV_E_INVALID_VP_REGISTER_NAME);
}

struct Translation {
  WHV_TRANSLATE_GVA_RESULT_CODE code;
  WHV_GUEST_PHYSICAL_ADDRESS gpa;
};

Translation translate(Guest& guest, WHV_GUEST_VIRTUAL_ADDRESS gva,
                      WHV_TRANSLATE_GVA_FLAGS flags = WHvTranslateGvaFlagValidateRead) {
  WHV_TRANSLATE_GVA_RESULT result{};
  WHV_GUEST_PHYSICAL_ADDRESS gpa = 0;
  EXPECT_EQ(WHvTranslateGva(guest.handle(), 0, gva, flags, &result, &gpa), S_OK);
  return {result.ResultCode, gpa};
}

constexpr UINT64 kNotInTables = UINT64{1} << 40;

CASE(TranslateGva, FollowsTheGuestsTables, kDocumented, "WHvTranslateGva") {
  Guest guest;
  guest.enter_long_mode();
  const Translation mapped = translate(guest, 0x1234);
  EXPECT_EQ(mapped.code, WHvTranslateGvaResultSuccess);
  EXPECT_EQ(mapped.gpa, 0x1234u);
  EXPECT_EQ(translate(guest, kNotInTables).code, WHvTranslateGvaResultPageNotPresent);
  EXPECT_EQ(translate(guest, kMmioGpa).code, WHvTranslateGvaResultGpaUnmapped);
}

CASE(TranslateGva, WithoutPagingItIsTheAddress, kDocumented, "Intel SDM: paging off") {
  Guest guest;
  const Translation same = translate(guest, 0x12345);
  EXPECT_EQ(same.code, WHvTranslateGvaResultSuccess);
  EXPECT_EQ(same.gpa, 0x12345u);
}

CASE(TranslateGva, MemoryThatIsReadOnlyIsNotWritten, kDocumented,
     "WHvTranslateGvaResultGpaNoWriteAccess") {
  Guest guest;
  const Pages page = allocate_pages(4096);
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), page.get(), kMmioGpa, 4096, WHvMapGpaRangeFlagRead),
            S_OK);
  guest.enter_long_mode();
  EXPECT_EQ(translate(guest, kMmioGpa, WHvTranslateGvaFlagValidateWrite).code,
            WHvTranslateGvaResultGpaNoWriteAccess);
  EXPECT_EQ(translate(guest, kMmioGpa).code, WHvTranslateGvaResultSuccess);
}

CASE(TranslateGva, ItLeavesTheProcessor, kDocumented, "WHvTranslateGva") {
  Guest guest;
  guest.load(kCodeGpa, out(0x80));
  guest.enter_long_mode();
  translate(guest, kNotInTables);
  EXPECT_EQ(guest.get(WHvX64RegisterCr2).Reg64, 0u);
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
}

CASE(Registers, OfReset, kReported, "field guide 1.4: the architectural reset state") {
  Guest guest;
  EXPECT_EQ(guest.get(WHvX64RegisterRip).Reg64, 0xFFF0u);
  EXPECT_EQ(guest.get(WHvX64RegisterRflags).Reg64, 2u);
  EXPECT_EQ(guest.get(WHvX64RegisterRax).Reg64, 0u);
  EXPECT_EQ(guest.get(WHvX64RegisterCr0).Reg64 & 0x80000001, 0u);
  EXPECT_EQ(guest.get(WHvX64RegisterCr3).Reg64, 0u);
  EXPECT_EQ(guest.get(WHvX64RegisterCr4).Reg64, 0u);
  EXPECT_EQ(guest.get(WHvX64RegisterEfer).Reg64, 0u);
  EXPECT_EQ(guest.get(WHvX64RegisterXCr0).Reg64, 1u);
  EXPECT_EQ(guest.get(WHvX64RegisterIdtr).Table.Limit, 0xFFFF);
  EXPECT_EQ(guest.get(WHvX64RegisterGdtr).Table.Limit, 0xFFFF);
  EXPECT_EQ(guest.get(WHvX64RegisterDs).Segment.Limit, 0xFFFFu);
  EXPECT_EQ(guest.get(WHvX64RegisterPat).Reg64, 0x0007040600070406u);
}

CASE(Registers, OtherProcessorsWaitForTheirStart, kReported,
     "field guide 1.4: QEMU, crosvm, entangled") {
  Guest guest({.processors = 2, .apic = WHvX64LocalApicEmulationModeX2Apic});
  EXPECT_EQ(guest.get(WHvRegisterInternalActivityState, 0).Reg64 & 1, 0u);
  EXPECT_EQ(guest.get(WHvRegisterInternalActivityState, 1).Reg64 & 1, 1u);
}

CASE(Registers, ABatchMayNameOneTwice, kBelieved, "no source") {
  Guest guest;
  const WHV_REGISTER_NAME names[] = {WHvX64RegisterRax, WHvX64RegisterRax};
  alignas(16) WHV_REGISTER_VALUE values[2]{};
  values[0].Reg64 = 1;
  values[1].Reg64 = 2;
  EXPECT_EQ(WHvSetVirtualProcessorRegisters(guest.handle(), 0, names, 2, values), S_OK);
  EXPECT_EQ(guest.get(WHvX64RegisterRax).Reg64, 2u);
}

CASE(Registers, ALargeBatchIsFine, kReported, "field guide 7: no documented cap") {
  Guest guest;
  std::vector<WHV_REGISTER_NAME> names;
  std::vector<WHV_REGISTER_VALUE> values;
  for (const RoundTrip& one : kRoundTrips) names.push_back(one.name);
  names.insert(names.end(), names.begin(), names.end());
  values.resize(names.size());
  EXPECT_EQ(WHvGetVirtualProcessorRegisters(guest.handle(), 0, names.data(),
                                            static_cast<UINT32>(names.size()), values.data()),
            S_OK);
}

CASE(Registers, EachProcessorHasItsOwn, kDocumented, "WHvSetVirtualProcessorRegisters") {
  Guest guest({.processors = 2, .apic = WHvX64LocalApicEmulationModeX2Apic});
  for (UINT32 vp = 0; vp < 2; ++vp) guest.set({{WHvX64RegisterRax, 10 + vp}}, vp);
  for (UINT32 vp = 0; vp < 2; ++vp) EXPECT_EQ(guest.get(WHvX64RegisterRax, vp).Reg64, 10 + vp);
}

CASE(Registers, TheGuestSeesWhatIsSet, kDocumented, "WHvSetVirtualProcessorRegisters") {
  Guest guest;
  guest.load(kCodeGpa, Code{0x4C, 0x89, 0xF8} + out(0x80));  // mov rax, r15
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterR15, 0xABCDEF0123456789}});
  EXPECT_EQ(guest.run().IoPortAccess.Rax, 0xABCDEF0123456789u);
}

CASE(Registers, WhatTheGuestSetsIsRead, kDocumented, "WHvGetVirtualProcessorRegisters") {
  Guest guest;
  // movabs rbx, …; movq xmm3, rbx; mov cr2, rbx; report
  guest.load(kCodeGpa, load_rbx(0x1122334455667788) +
                           Code{0x66, 0x48, 0x0F, 0x6E, 0xDB, 0x0F, 0x22, 0xD3} + out(0x80));
  guest.enter_long_mode();
  guest.run();
  EXPECT_EQ(guest.get(WHvX64RegisterRbx).Reg64, 0x1122334455667788u);
  EXPECT_EQ(guest.get(WHvX64RegisterXmm3).Reg128.Low64, 0x1122334455667788u);
  EXPECT_EQ(guest.get(WHvX64RegisterCr2).Reg64, 0x1122334455667788u);
}

}  // namespace
}  // namespace runhv::conformance
