// Who may enter a container's folder, and where it is, on Linux.
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "control/container_folder.h"
#include "gtest/gtest.h"
#include "platform/file.h"
#include "testing/folder_fixture.h"

namespace runhv::control {
namespace {

using LinuxContainerFolderTest = testing::FolderFixture;

TEST_F(LinuxContainerFolderTest, OthersMayNotEnter) {
  const auto folder = ContainerFolder::take(folder_, "web");
  ASSERT_TRUE(folder);
  struct stat status {};
  ASSERT_EQ(::stat(folder->path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0700u);
}

// Here, since the C++ library of mingw-w64 sets the time of no folder.
TEST_F(LinuxContainerFolderTest, OneThatIsBeingMadeIsLeftAloneAndAnOldOneSwept) {
  const std::string folder = *root_folder(folder_, "containers") + "/new";
  ASSERT_TRUE(platform::make_private_directory(folder));
  EXPECT_TRUE(list_containers(folder_)->empty());
  EXPECT_TRUE(std::filesystem::exists(folder));
  std::filesystem::last_write_time(
      folder, std::filesystem::file_time_type::clock::now() - std::chrono::minutes(1));
  EXPECT_TRUE(list_containers(folder_)->empty());
  EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST_F(LinuxContainerFolderTest, TheRootIsTheNamedOneThenTheEnvironments) {
  ::setenv("RUNHV_ROOT", (folder_ + "/of-environment").c_str(), 1);
  ::setenv("XDG_RUNTIME_DIR", folder_.c_str(), 1);
  EXPECT_EQ(*runhv_root(folder_ + "/a/b/named/"), folder_ + "/a/b/named");
  EXPECT_EQ(*runhv_root(""), folder_ + "/of-environment");
  ::unsetenv("RUNHV_ROOT");
  EXPECT_EQ(*runhv_root(""), folder_ + "/runhv");
  ::setenv("XDG_RUNTIME_DIR", (folder_ + "/not/there").c_str(), 1);
  ::setenv("TMPDIR", folder_.c_str(), 1);
  EXPECT_EQ(*runhv_root(""), folder_ + "/runhv-" + std::to_string(::getuid()));
  ::unsetenv("TMPDIR");
  ::unsetenv("XDG_RUNTIME_DIR");
}

TEST_F(LinuxContainerFolderTest, ARootThatOthersMayEnterIsRefused) {
  ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
  EXPECT_EQ(runhv_root(folder_).error().code, Code::kAccessDenied);
  ASSERT_EQ(::chmod(folder_.c_str(), 0700), 0);
}

}  // namespace
}  // namespace runhv::control
