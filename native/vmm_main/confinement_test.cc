#include "vmm_main/confinement.h"

#include <algorithm>
#include <optional>
#include <string>

#include "container/linux_abi.h"
#include "gtest/gtest.h"
#include "platform/process.h"

namespace runhv::vmm_main {
namespace {

using platform::Duties;
using platform::KeptPath;

constexpr const char* kFolder = "/run/runhv/containers/web";

std::optional<KeptPath::Access> access_to(const Duties& duties, const std::string& path) {
  const auto found = std::ranges::find(*duties.files, path, &KeptPath::path);
  return found == duties.files->end() ? std::nullopt : std::optional(found->access);
}

TEST(DutiesOf, AnImageNeedsItsOwnFolderAndNothingElse) {
  const container::Bundle bundle;
  const Duties duties = duties_of({.bundle = bundle, .folder = kFolder});
  EXPECT_EQ(duties.shares, Duties::Shares::kNone);
  EXPECT_FALSE(duties.keeps_network);
  EXPECT_FALSE(duties.enters_network);
  ASSERT_TRUE(duties.files.has_value());
  EXPECT_EQ(duties.files->size(), 3u);
  EXPECT_EQ(access_to(duties, kFolder), KeptPath::Access::kReadWrite);
  EXPECT_EQ(access_to(duties, "/run/runhv/containers"), KeptPath::Access::kFolderNames);
  EXPECT_EQ(access_to(duties, "/proc/self"), KeptPath::Access::kRead);
}

TEST(DutiesOf, SharesAreKeptAsTheyWereGiven) {
  container::Bundle bundle;
  bundle.container.shares = {{.path = "/srv/read", .read_only = true}};
  Duties duties = duties_of({.bundle = bundle, .folder = kFolder});
  EXPECT_EQ(duties.shares, Duties::Shares::kReadOnly);
  EXPECT_EQ(access_to(duties, "/srv/read"), KeptPath::Access::kRead);

  bundle.container.shares.push_back({.path = "/srv/write"});
  duties = duties_of({.bundle = bundle, .folder = kFolder});
  EXPECT_EQ(duties.shares, Duties::Shares::kWritable);
  EXPECT_EQ(access_to(duties, "/srv/read"), KeptPath::Access::kRead);
  EXPECT_EQ(access_to(duties, "/srv/write"), KeptPath::Access::kReadWrite);
}

TEST(DutiesOf, WhomOthersMayJoinOpensTheirFilesToo) {
  container::Bundle bundle;
  bundle.container.network_namespace = "/proc/self/ns/net";
  const Duties own = duties_of({.bundle = bundle, .folder = kFolder, .created = true});
  EXPECT_FALSE(own.files.has_value());
  EXPECT_EQ(own.shares, Duties::Shares::kWritable);
  EXPECT_TRUE(own.keeps_network);
  EXPECT_FALSE(own.enters_network) << "it is in there";

  bundle.container.network_namespace = "/no/such/namespace";
  EXPECT_TRUE(duties_of({.bundle = bundle, .folder = kFolder}).enters_network);
}

TEST(DutiesOf, AnIsolatedNetworkIsJoinedWhereTheProcessHasOne) {
  container::Bundle bundle;
  bundle.container.namespaces = container::linux_abi::kCloneNewnet;
  EXPECT_TRUE(duties_of({.bundle = bundle, .folder = kFolder}).files.has_value())
      << "only the guest has it";
  const bool is_root = platform::current_user_id() == 0;
  const Duties created = duties_of({.bundle = bundle, .folder = kFolder, .created = true});
  EXPECT_EQ(created.files.has_value(), !is_root);
  EXPECT_FALSE(created.keeps_network) << "nothing of the host's is in there";
  const Duties furnished =
      duties_of({.bundle = bundle, .folder = kFolder, .created = true, .own_network = true});
  EXPECT_FALSE(furnished.files.has_value());
  EXPECT_TRUE(furnished.keeps_network);
}

}  // namespace
}  // namespace runhv::vmm_main
