#include "winhv_linux/cpu_policy.h"

#include "gtest/gtest.h"

namespace runhv::winhv_linux {
namespace {

constexpr std::uint32_t kUnknownMsr = 0xC0010015;
constexpr std::uint32_t kPat = 0x277;
constexpr std::uint32_t kGuestOsId = 0x40000000;
constexpr std::uint32_t kHypercall = 0x40000001;

TEST(CpuPolicy, AMaskedResultKeepsTheOtherBits) {
  Properties properties({}, profiles().front());
  WHV_X64_CPUID_RESULT2 result{};
  result.Function = 7;
  result.Index = 1;
  result.Flags = WHvX64CpuidResult2FlagSubleafSpecific;
  result.Output.Ebx = 0xFF;
  result.Mask.Ebx = 0x0F;
  properties.cpuid_results2.push_back(result);
  const CpuPolicy policy(properties, 0);

  std::array<std::uint32_t, 4> other_index{0, 0xA0, 0, 0};
  EXPECT_FALSE(policy.cpuid(0, 7, 0, other_index));
  EXPECT_EQ(other_index[1], 0xA0u);
  std::array<std::uint32_t, 4> its_index{0, 0xA0, 0, 0};
  EXPECT_FALSE(policy.cpuid(0, 7, 1, its_index));
  EXPECT_EQ(its_index[1], 0xAFu);
}

TEST(CpuPolicy, AListedLeafExitsOnlyWhereExitsAreOn) {
  Properties properties({}, profiles().front());
  properties.cpuid_exits = {1};
  const CpuPolicy policy(properties, 0);
  std::array<std::uint32_t, 4> out{};
  EXPECT_FALSE(policy.cpuid(0, 1, 0, out));
  properties.extended_vm_exits.X64CpuidExit = 1;
  EXPECT_TRUE(policy.cpuid(0, 1, 0, out));
  EXPECT_FALSE(policy.cpuid(0, 2, 0, out));
}

TEST(CpuPolicy, NoLeavesOfHypervWithoutTheProperty) {
  const Properties properties({}, profiles().front());
  const CpuPolicy policy(properties, 0);
  std::array<std::uint32_t, 4> out{1, 2, 3, 4};
  policy.cpuid(0, 0x40000000, 0, out);
  for (const std::uint32_t word : out) EXPECT_EQ(word, 0u);
}

TEST(CpuPolicy, UnknownMsrs) {
  Properties properties({}, profiles().front());
  CpuPolicy policy(properties, 0);
  std::uint64_t value = 5;
  EXPECT_EQ(policy.read_msr(0, kUnknownMsr, 0, value), MsrAnswer::kFault);
  EXPECT_EQ(policy.read_msr(0, kPat, 0, value), MsrAnswer::kDefault);

  properties.msr_exits.UnhandledMsrs = 1;
  EXPECT_EQ(policy.write_msr(kUnknownMsr, 0), MsrAnswer::kFault);  // MSR exits are off
  properties.extended_vm_exits.X64MsrExit = 1;
  EXPECT_EQ(policy.write_msr(kUnknownMsr, 0), MsrAnswer::kExit);

  properties.unimplemented_msr_action = WHvMsrActionIgnoreWriteReadZero;
  value = 5;
  EXPECT_EQ(policy.read_msr(0, kUnknownMsr, 0, value), MsrAnswer::kDone);
  EXPECT_EQ(value, 0u);
}

TEST(CpuPolicy, GuestIdentityGovernsHypercalls) {
  Properties properties({}, profiles().front());
  properties.synthetic.Bank0.AccessHypercallRegs = 1;
  CpuPolicy policy(properties, 0);
  EXPECT_EQ(policy.write_msr(kGuestOsId, 0x8100), MsrAnswer::kDone);
  EXPECT_EQ(policy.write_msr(kHypercall, 0x5001), MsrAnswer::kDone);
  std::uint64_t value = 0;
  EXPECT_EQ(policy.read_msr(0, kHypercall, 0, value), MsrAnswer::kDone);
  EXPECT_EQ(value, 0x5001u);
  EXPECT_EQ(policy.write_msr(kGuestOsId, 0), MsrAnswer::kDone);
  policy.read_msr(0, kHypercall, 0, value);
  EXPECT_EQ(value, 0x5000u);
}

TEST(CpuPolicy, ReferenceCounterCountsHundredsOfNanoseconds) {
  Properties properties({}, profiles().front());
  properties.synthetic.Bank0.AccessPartitionReferenceCounter = 1;
  const CpuPolicy policy(properties, 1000);
  std::uint64_t value = 0;
  EXPECT_EQ(policy.read_msr(0, 0x40000020, 2000, value), MsrAnswer::kDone);
  EXPECT_EQ(value, 10u);
}

}  // namespace
}  // namespace runhv::winhv_linux
