// Registers: round trips, and batches that apply as a whole or not at all.

#include "conformance/guest.h"
#include "gtest/gtest.h"

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

TEST(Registers, EachKeepsItsValue) {
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

TEST(Registers, SegmentsAndTablesKeepTheirParts) {
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

TEST(Registers, FpuStateKeepsItsParts) {
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

TEST(Registers, TscCanBeSetAndGoesOn) {
  Guest guest;
  constexpr UINT64 kTsc = UINT64{1} << 50;
  guest.set({{WHvX64RegisterTsc, kTsc}});
  EXPECT_GE(guest.get(WHvX64RegisterTsc).Reg64, kTsc);
  EXPECT_LT(guest.get(WHvX64RegisterTsc).Reg64, kTsc << 1);
}

TEST(Registers, ApicBaseIsThereWithAnApicOnly) {
  const WHV_REGISTER_NAME names[] = {WHvX64RegisterRax, WHvX64RegisterApicBase};
  WHV_REGISTER_VALUE values[2]{};
  {
    Guest guest({.apic = WHvX64LocalApicEmulationModeX2Apic});
    ASSERT_EQ(WHvGetVirtualProcessorRegisters(guest.handle(), 0, names, 2, values), S_OK);
    EXPECT_EQ(values[1].Reg64 & 0xFFFFF000, 0xFEE00000u);
  }
  Guest guest;
  EXPECT_TRUE(FAILED(WHvGetVirtualProcessorRegisters(guest.handle(), 0, names, 2, values)));
}

TEST(Registers, ABadNameFailsTheWholeBatch) {
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

TEST(TranslateGva, FollowsTheGuestsTables) {
  Guest guest;
  guest.enter_long_mode();
  WHV_TRANSLATE_GVA_RESULT result{};
  WHV_GUEST_PHYSICAL_ADDRESS gpa = 0;
  ASSERT_EQ(
      WHvTranslateGva(guest.handle(), 0, 0x1234, WHvTranslateGvaFlagValidateRead, &result, &gpa),
      S_OK);
  EXPECT_EQ(result.ResultCode, WHvTranslateGvaResultSuccess);
  EXPECT_EQ(gpa, 0x1234u);

  ASSERT_EQ(WHvTranslateGva(guest.handle(), 0, UINT64{1} << 40, WHvTranslateGvaFlagValidateRead,
                            &result, &gpa),
            S_OK);
  EXPECT_EQ(result.ResultCode, WHvTranslateGvaResultPageNotPresent);

  ASSERT_EQ(
      WHvTranslateGva(guest.handle(), 0, kMmioGpa, WHvTranslateGvaFlagValidateRead, &result, &gpa),
      S_OK);
  EXPECT_EQ(result.ResultCode, WHvTranslateGvaResultGpaUnmapped);
}

}  // namespace
}  // namespace runhv::conformance
