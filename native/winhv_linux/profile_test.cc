#include "winhv_linux/profile.h"

#include "gtest/gtest.h"
#include "winhv_linux/capabilities.h"

namespace runhv::winhv_linux {
namespace {

HRESULT ask(std::string_view profile, WHV_CAPABILITY_CODE code) {
  UINT64 value = 0;
  return get_capability(true, Capabilities{}, *find_profile(profile), code, &value, sizeof value,
                        nullptr);
}

TEST(Profile, NamesAreKnownAndOthersAreNot) {
  for (const auto name :
       {"windows-server-2022", "windows-11-22h2", "windows-11-24h2", "windows-server-2025"}) {
    ASSERT_NE(find_profile(name), nullptr) << name;
    EXPECT_EQ(find_profile(name)->name, name);
  }
  EXPECT_EQ(find_profile("windows-95"), nullptr);
}

TEST(Profile, PhysicalAddressWidthCameWith24H2) {
  EXPECT_EQ(ask("windows-server-2022", whpapi::kWhvCapabilityPhysicalAddressWidth),
            WHV_E_UNKNOWN_CAPABILITY);
  EXPECT_EQ(ask("windows-11-24h2", whpapi::kWhvCapabilityPhysicalAddressWidth), S_OK);
  EXPECT_EQ(ask("windows-server-2022", WHvCapabilityCodeFeatures), S_OK);
}

TEST(Profile, ResetCameAfterServer2022) {
  EXPECT_TRUE(lacks_call(*find_profile("windows-server-2022"), "WHvResetPartition"));
  EXPECT_FALSE(lacks_call(*find_profile("windows-11-22h2"), "WHvResetPartition"));
  EXPECT_FALSE(lacks_call(*find_profile("windows-server-2022"), "WHvMapGpaRange2"));
}

TEST(Profile, TakesFromTheEngineAndAddsNothing) {
  Capabilities engine;
  engine.extended_vm_exits = 1u << 14 | 1;  // GpaAccessFaultExit, X64CpuidExit
  EXPECT_EQ(narrowed(engine, *find_profile("windows-server-2022")).extended_vm_exits, 1u);
  EXPECT_EQ(narrowed(engine, *find_profile("windows-server-2025")).extended_vm_exits, 0x4001u);
  EXPECT_EQ(narrowed(engine, *find_profile("windows-server-2025")).features, 0u);
}

}  // namespace
}  // namespace runhv::winhv_linux
