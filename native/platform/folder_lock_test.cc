#include "platform/folder_lock.h"

#include <atomic>
#include <string>

#include "gtest/gtest.h"
#include "platform/file.h"
#include "platform/thread.h"
#include "testing/files.h"
#include "testing/folder_fixture.h"

namespace runhv::platform {
namespace {

using FolderLockTest = testing::FolderFixture;

TEST_F(FolderLockTest, OneHolderAtATimeAndFreeAgainAfterwards) {
  EXPECT_FALSE(*FolderLock::is_held(folder_));
  {
    const auto held = FolderLock::acquire(folder_);
    ASSERT_TRUE(held) << to_string(held.error());
    EXPECT_EQ(FolderLock::acquire(folder_).error().code, Code::kConflict);
    EXPECT_TRUE(*FolderLock::is_held(folder_));
    EXPECT_TRUE(*FolderLock::is_held(folder_)) << "to ask does not change it";
  }
  EXPECT_FALSE(*FolderLock::is_held(folder_));
  EXPECT_TRUE(FolderLock::acquire(folder_));
}

TEST_F(FolderLockTest, ItsHolderRemovesTheFolder) {
  const std::string folder = folder_ + "/state";
  ASSERT_TRUE(make_private_directory(folder));
  auto held = FolderLock::acquire(folder);
  ASSERT_TRUE(held);
  ASSERT_TRUE(make_private_directory(folder + "/bundle"));
  ASSERT_TRUE(testing::write_file(folder + "/bundle/config.json", {}));
  ASSERT_TRUE(testing::write_file(folder + "/file", {}));

  ASSERT_TRUE((*std::move(held)).remove_folder());

  EXPECT_FALSE(file_exists(folder));
}

// Two at a time never hold it, though the folder goes and comes between their calls.
TEST_F(FolderLockTest, AFolderThatIsRemovedByItsHolderIsNotHeldTwice) {
  const std::string folder = folder_ + "/state";
  std::atomic<int> holders = 0;
  std::atomic<int> rounds = 0;
  const auto contend = [&] {
    while (rounds.load() < 300) {
      if (!make_private_directory(folder)) continue;
      auto held = FolderLock::acquire(folder);
      if (!held) {
        EXPECT_TRUE(held.error().code == Code::kConflict || held.error().code == Code::kNotFound)
            << to_string(held.error());
        continue;
      }
      EXPECT_EQ(holders.fetch_add(1), 0);
      ++rounds;
      EXPECT_FALSE(file_exists(folder + "/state")) << "a part of the other's folder";
      EXPECT_TRUE(make_private_directory(folder + "/state"));
      EXPECT_TRUE(testing::write_file(folder + "/state/file", {}));
      EXPECT_EQ(holders.fetch_sub(1), 1);
      const auto removed = (*std::move(held)).remove_folder();
      EXPECT_TRUE(removed) << to_string(removed.error());
    }
  };

  auto first = Thread::start("first", contend);
  auto second = Thread::start("second", contend);
  ASSERT_TRUE(first && second);
  first->join();
  second->join();
}

}  // namespace
}  // namespace runhv::platform
