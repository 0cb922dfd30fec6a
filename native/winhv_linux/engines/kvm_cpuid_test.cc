#include "winhv_linux/engines/kvm_cpuid.h"

#include <algorithm>

#include "gtest/gtest.h"

namespace runhv::winhv_linux {
namespace {

// Has one leaf of Hyper-V's and sets a bit of leaf 7.
class Answers final : public CpuAnswers {
 public:
  bool cpuid(UINT32 vp, UINT32 function, UINT32, std::array<UINT32, 4>& out) override {
    if (function == 0x40000000) out = {0x40000006, vp, 0, 0};
    if (function == 7) out[1] |= 0x100;
    return false;
  }
  MsrAnswer read_msr(UINT32, UINT32, UINT64&) override { return MsrAnswer::kFault; }
  MsrAnswer write_msr(UINT32, UINT32, UINT64) override { return MsrAnswer::kFault; }
  bool exception_exits(UINT32) const override { return false; }
  UINT64 now_ns() const override { return 0; }
  UINT64 host_ns(UINT64) const override { return 0; }
};

kvm_cpuid_entry2 leaf(UINT32 function, UINT32 index = 0) {
  kvm_cpuid_entry2 entry{};
  entry.function = function;
  entry.index = index;
  return entry;
}

std::vector<kvm_cpuid_entry2> of_host() {
  std::vector<kvm_cpuid_entry2> entries{
      leaf(1),      leaf(7),          leaf(0xA),        leaf(0xB),        leaf(0xB, 1),
      leaf(0xB, 2), leaf(0x40000000), leaf(0x40000001), leaf(0x80000001), leaf(0x8000000A)};
  entries[0].ebx = 0x09400800;
  entries[0].ecx = 1 << 5 | 1;
  entries[6].eax = 0x40000001;  // KVM's own
  entries[6].ebx = 0x4B4D564B;
  entries[8].ecx = 1 << 2 | 1;
  return entries;
}

const kvm_cpuid_entry2* find(const std::vector<kvm_cpuid_entry2>& in, UINT32 function,
                             UINT32 index = 0) {
  const auto at = std::ranges::find_if(in, [&](const kvm_cpuid_entry2& entry) {
    return entry.function == function && entry.index == index;
  });
  return at == in.end() ? nullptr : &*at;
}

std::vector<kvm_cpuid_entry2> made(UINT32 index, UINT32 count, bool has_tsc_deadline = true) {
  Answers answers;
  const VmShape shape{count, WHvX64LocalApicEmulationModeX2Apic, 1, 1};
  const auto host = of_host();
  return guest_cpuid(host, index, shape, has_tsc_deadline, answers);
}

TEST(KvmCpuid, EachProcessorIsACoreWithItsIndexAsId) {
  const auto entries = made(2, 3);
  EXPECT_EQ(find(entries, 1)->ebx, 0x02030800u);
  EXPECT_EQ(find(entries, 0xB, 0)->ebx, 1u);
  EXPECT_EQ(find(entries, 0xB, 0)->ecx, 0x100u);
  EXPECT_EQ(find(entries, 0xB, 1)->eax, 2u);
  EXPECT_EQ(find(entries, 0xB, 1)->ebx, 3u);
  EXPECT_EQ(find(entries, 0xB, 1)->ecx, 0x201u);
  EXPECT_EQ(find(entries, 0xB, 1)->edx, 2u);
  EXPECT_EQ(find(entries, 0xB, 2)->ecx, 2u);
}

TEST(KvmCpuid, AnswersOfThePartitionCount) {
  const auto entries = made(1, 2);
  EXPECT_EQ(find(entries, 7)->ebx, 0x100u);
  ASSERT_NE(find(entries, 0x40000000), nullptr);
  EXPECT_EQ(find(entries, 0x40000000)->eax, 0x40000006u);
  EXPECT_EQ(find(entries, 0x40000000)->ebx, 1u);
  EXPECT_EQ(find(entries, 0x40000001), nullptr);  // the guest sees nothing of KVM's own
}

TEST(KvmCpuid, NeitherNestedVirtualizationNorCounters) {
  const auto entries = made(0, 1);
  EXPECT_EQ(find(entries, 1)->ecx & 1u << 5, 0u);
  EXPECT_EQ(find(entries, 0x80000001)->ecx, 1u);
  EXPECT_EQ(find(entries, 0xA), nullptr);
  EXPECT_EQ(find(entries, 0x8000000A), nullptr);
}

TEST(KvmCpuid, FeaturesAreToldInTheWordsOfWhp) {
  std::vector<kvm_cpuid_entry2> entries{leaf(1), leaf(7), leaf(7, 1), leaf(0xD, 1),
                                        leaf(0x80000001)};
  EXPECT_EQ(features_of(entries), FeatureSets{});
  entries[0].ecx = 1u << 30 | 1u << 26 | 1u;  // RDRAND, XSAVE, SSE3
  entries[1].ebx = 1u << 10;                  // INVPCID
  entries[2].ebx = ~0u;                       // another sub-leaf
  entries[3].eax = 1u << 1;                   // XSAVEC
  entries[4].edx = 1u << 27;                  // RDTSCP
  WHV_PROCESSOR_FEATURES expected{};
  expected.RdRandSupport = 1;
  expected.Sse3Support = 1;
  expected.InvpcidSupport = 1;
  expected.RdtscpSupport = 1;
  WHV_PROCESSOR_XSAVE_FEATURES xsave{};
  xsave.XsaveSupport = 1;
  xsave.XsaveCompSupport = 1;
  EXPECT_EQ(features_of(entries), (FeatureSets{expected.AsUINT64, 0, xsave.AsUINT64}));
}

TEST(KvmCpuid, DeadlineTimerIsThereWhereKvmHasIt) {
  EXPECT_EQ(find(made(0, 1, true), 1)->ecx >> 24 & 1, 1u);
  EXPECT_EQ(find(made(0, 1, false), 1)->ecx >> 24 & 1, 0u);
}

}  // namespace
}  // namespace runhv::winhv_linux
