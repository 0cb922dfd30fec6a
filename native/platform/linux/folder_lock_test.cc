#include "platform/folder_lock.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <string>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/file.h"
#include "platform/thread.h"
#include "testing/files.h"

namespace runhv::platform {
namespace {

class FolderLockTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "runhv-lock-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(folder_)); }

  std::string folder_;
};

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

TEST_F(FolderLockTest, AProcessThatIsKilledHoldsItNoLonger) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueHandle reader(ends[0]), writer(ends[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto held = FolderLock::acquire(folder_);
    if (!held || ::write(ends[1], "x", 1) != 1) ::_exit(1);
    while (true) ::pause();
  }
  char byte;
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
  EXPECT_TRUE(*FolderLock::is_held(folder_));
  EXPECT_EQ(FolderLock::acquire(folder_).error().code, Code::kConflict);

  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);

  EXPECT_FALSE(*FolderLock::is_held(folder_));
  EXPECT_TRUE(FolderLock::acquire(folder_));
}

TEST_F(FolderLockTest, AnotherProcessTakesItOverByItsHandle) {
  auto held = FolderLock::acquire(folder_);
  ASSERT_TRUE(held);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueHandle reader(ends[0]), writer(ends[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto adopted = FolderLock::adopt(folder_, UniqueHandle(held->handle()));
    if (!adopted || ::write(ends[1], "x", 1) != 1) ::_exit(1);
    while (true) ::pause();
  }
  char byte;
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
  held = Fail{Error{Code::kClosed, "", ""}};
  EXPECT_TRUE(*FolderLock::is_held(folder_)) << "it is the child's alone now";
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(*FolderLock::is_held(folder_));

  EXPECT_EQ(FolderLock::adopt(folder_, UniqueHandle(::open("/dev/null", O_RDWR))).error().code,
            Code::kInvalidArgument);
}

TEST_F(FolderLockTest, AFolderThatOthersMayEnterIsRefused) {
  ASSERT_EQ(::chmod(folder_.c_str(), 0750), 0);
  EXPECT_EQ(FolderLock::acquire(folder_).error().code, Code::kAccessDenied);
  EXPECT_EQ(FolderLock::is_held(folder_).error().code, Code::kAccessDenied);
  ASSERT_EQ(::chmod(folder_.c_str(), 0700), 0);
  ASSERT_EQ(::symlink("/etc/passwd", (folder_ + "/lock").c_str()), 0);
  EXPECT_EQ(FolderLock::acquire(folder_).error().os_code, ELOOP);
  EXPECT_EQ(FolderLock::acquire(folder_ + "/none").error().code, Code::kNotFound);
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
