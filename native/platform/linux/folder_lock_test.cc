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

class LinuxFolderLockTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "runhv-lock-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(folder_)); }

  std::string folder_;
};

TEST_F(LinuxFolderLockTest, AProcessThatIsKilledHoldsItNoLonger) {
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

TEST_F(LinuxFolderLockTest, AnotherProcessTakesItOverByItsHandle) {
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

TEST_F(LinuxFolderLockTest, AFolderThatOthersMayEnterIsRefused) {
  ASSERT_EQ(::chmod(folder_.c_str(), 0750), 0);
  EXPECT_EQ(FolderLock::acquire(folder_).error().code, Code::kAccessDenied);
  EXPECT_EQ(FolderLock::is_held(folder_).error().code, Code::kAccessDenied);
  ASSERT_EQ(::chmod(folder_.c_str(), 0700), 0);
  ASSERT_EQ(::symlink("/etc/passwd", (folder_ + "/lock").c_str()), 0);
  EXPECT_EQ(FolderLock::acquire(folder_).error().os_code, ELOOP);
  EXPECT_EQ(FolderLock::acquire(folder_ + "/none").error().code, Code::kNotFound);
}

}  // namespace
}  // namespace runhv::platform
