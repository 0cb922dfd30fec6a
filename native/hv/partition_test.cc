// The core's partition on our own implementation of WHP.
#include "hv/partition.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "hv/whp_functions.h"
#include "hv/whp_library.h"
#include "testing/environment.h"

namespace runhv::hv {
namespace {

class PartitionTest : public ::testing::Test {
 protected:
  void SetUp() override { testing::set_environment_by_default("RUNHV_WINHV", RUNHV_TEST_WINHV); }
  void TearDown() override { testing::set_environment("RUNHV_WHP_PROFILE", ""); }
};

alignas(4096) std::array<std::byte, 4096> page;

TEST_F(PartitionTest, IsMadeOnEachVersionOfWindows) {
  for (const char* profile :
       {"windows-server-2022", "windows-11-22h2", "windows-11-24h2", "windows-server-2025"}) {
    testing::set_environment("RUNHV_WHP_PROFILE", profile);
    const auto library = WhpLibrary::open("soft");
    ASSERT_TRUE(library) << profile << ": " << to_string(library.error());
    const auto partition = Partition::create(**library, 2);
    ASSERT_TRUE(partition) << profile << ": " << to_string(partition.error());
    EXPECT_TRUE((*partition)->map(Gpa{0}, page));
    // Every register that the core names.
    constexpr std::array kNames{Register::kRax,    Register::kR15,  Register::kRip,
                                Register::kRflags, Register::kCs,   Register::kTr,
                                Register::kLdtr,   Register::kGdtr, Register::kIdtr,
                                Register::kCr0,    Register::kCr2,  Register::kCr3,
                                Register::kCr4,    Register::kEfer, Register::kPendingEvent};
    std::array<RegisterValue, kNames.size()> values;
    EXPECT_TRUE((*partition)->processor(0).read(kNames, values)) << profile;
  }
}

TEST_F(PartitionTest, AnUnknownVersionOfWindowsIsRefused) {
  testing::set_environment("RUNHV_WHP_PROFILE", "windows-95");
  const auto library = WhpLibrary::open("soft");
  ASSERT_FALSE(library);
  EXPECT_EQ(library.error().os_code, E_INVALIDARG);
}

TEST_F(PartitionTest, CancelBeforeRunEndsTheNextRun) {
  const auto library = WhpLibrary::open("soft");
  ASSERT_TRUE(library) << to_string(library.error());
  const auto partition = Partition::create(**library, 1);
  ASSERT_TRUE(partition) << to_string(partition.error());
  VirtualProcessor& processor = (*partition)->processor(0);

  processor.cancel();
  const auto exit = processor.run();

  ASSERT_TRUE(exit);
  EXPECT_TRUE(std::holds_alternative<CanceledExit>(exit->reason));
}

}  // namespace
}  // namespace runhv::hv
