#include "winhv_linux/engines/selection.h"

#include "gtest/gtest.h"
#include "winhv_linux/engines/kvm_engine.h"

namespace runhv::winhv_linux {
namespace {

TEST(KvmEngine, SaysWhatIsMissing) {
  const auto nothing = open_kvm_engine("/nowhere/kvm");
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code, Code::kHypervisorAbsent);
  EXPECT_NE(to_string(nothing.error()).find("open /nowhere/kvm: no KVM here: load kvm-intel"),
            std::string::npos)
      << to_string(nothing.error());

  const auto other = open_kvm_engine("/dev/null");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::kHypervisorAbsent);
  EXPECT_EQ(to_string(other.error()),
            "use /dev/null: it does not speak KVM's interface of version 12; engine kvm needs "
            "Linux 5.10 or newer");
}

TEST(Selection, IsByName) {
  EXPECT_FALSE(select_engine("other"));
  ASSERT_TRUE(select_engine("soft"));
  EXPECT_STREQ(selected_engine().name, "soft");
  EXPECT_EQ(selected_engine().reason, std::nullopt);
}

// Whatever this machine has: it is told what was taken, and why.
TEST(Selection, OfAutoHasAReason) {
  ASSERT_TRUE(select_engine("auto"));
  ASSERT_TRUE(selected_engine().reason);
  EXPECT_FALSE(selected_engine().reason->empty());
  if (std::string_view(selected_engine().name) == "kvm") {
    EXPECT_TRUE(selected_engine().engine);
  }
}

}  // namespace
}  // namespace runhv::winhv_linux
