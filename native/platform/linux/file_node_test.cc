#include "platform/file_node.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "gtest/gtest.h"

namespace runhv::platform {
namespace {

TEST(FileNode, IsFoundAtOnceOnAFileSystemOfThisHost) {
  // A tmpfs, which has all of its names in memory.
  const std::filesystem::path folder =
      "/dev/shm/runhv-nodes-" + std::to_string(std::random_device{}());
  ASSERT_TRUE(std::filesystem::create_directory(folder));
  std::ofstream(folder / "file") << "content";
  const auto top = FileNode::open(folder);
  ASSERT_TRUE(top);
  FileNode found;
  EXPECT_EQ(top->look_up_at_once("file", found), 0);
  FileStatus status;
  EXPECT_EQ(found.status(status), 0);
  EXPECT_EQ(status.size, 7u);
  std::filesystem::remove_all(folder);
}

TEST(FileNode, IsNotLookedForAtOnceElsewhere) {
  FileNode found;
  EXPECT_EQ(FileNode::open("/proc")->look_up_at_once("self", found), EAGAIN)
      << "what answers there is not known";
  EXPECT_EQ(FileNode::open("/")->look_up_at_once("proc", found), EAGAIN) << "another file system";
}

}  // namespace
}  // namespace runhv::platform
