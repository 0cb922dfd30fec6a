#include "platform/shown_files.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <sys/stat.h>
#include <unistd.h>

#include "gtest/gtest.h"
#include "platform/child.h"

namespace runhv::platform {
namespace {

namespace fs = std::filesystem;

// What is seen is the process's for good: each test is a child. As the host looks: by the first
// thread's root.
class ShownFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root may make a mount namespace";
    char name[] = "/tmp/runhv-shown-XXXXXX";
    folder_ = ::mkdtemp(name);
    for (const char* each : {"root/place", "source"}) fs::create_directories(folder_ + "/" + each);
    std::ofstream(folder_ + "/source/file") << "of the source";
    fs::create_symlink("/place", folder_ + "/root/link");
    fs::create_symlink("../../../../../../../.." + folder_ + "/outside", folder_ + "/root/way-out");
    fs::create_directory(folder_ + "/outside");
  }
  void TearDown() override {
    if (!folder_.empty()) fs::remove_all(folder_);
  }

  // The name of the first expectation that did not hold, as an exit status; 0 = all did.
  int look(const ShownFiles& files, const std::function<int()>& expectations) const {
    const auto child = start_child([&](const Ready& ready) -> Result<int> {
      ready();
      FirstThread first_thread;
      return first_thread.run([&] { return first_thread.show(files) ? expectations() : 100; });
    });
    return child ? child->wait() : 101;
  }

  static bool is_seen(const std::string& path) { return fs::exists("/proc/self/root/" + path); }
  static bool can_write(const std::string& path) {
    std::ofstream file("/proc/self/root/" + path);
    return (file << "text" << std::flush).good();
  }

  std::string folder_;
};

TEST_F(ShownFilesTest, AreTheContainersAndNotTheHosts) {
  ShownFiles files;
  files.root = folder_ + "/root";
  files.mounts = {{folder_ + "/source", "/place"}, {"/no/such/source", "/place"}};
  const int failed = look(files, [&] {
    if (!is_seen("place/file")) return 1;
    if (is_seen(folder_)) return 2;
    if (!fs::exists(folder_ + "/root")) return 3;  // for this process itself all is as it was
    return can_write("made") && can_write("place/made") ? 0 : 4;
  });
  EXPECT_EQ(failed, 0);
  EXPECT_TRUE(fs::exists(folder_ + "/source/made"));
  EXPECT_TRUE(fs::exists(folder_ + "/root/made"));
}

TEST_F(ShownFilesTest, LinksInTheTreeLeadNowhereElse) {
  ShownFiles files;
  files.root = folder_ + "/root";
  files.mounts = {{folder_ + "/source", "/link"}, {folder_ + "/source", "/way-out"}};
  EXPECT_EQ(look(files, [&] { return is_seen("place/file") ? 0 : 1; }), 0);
  EXPECT_TRUE(fs::is_empty(folder_ + "/outside"));
}

TEST_F(ShownFilesTest, WhatIsReadOnlyCannotBeWritten) {
  ShownFiles files;
  files.root = folder_ + "/root";
  files.read_only = true;
  ShownMount mount{folder_ + "/source", "/place"};
  mount.read_only = true;
  files.mounts = {mount};
  EXPECT_EQ(look(files, [] { return can_write("made") || can_write("place/made") ? 1 : 0; }), 0);
  EXPECT_EQ(look({}, [] { return can_write("made") || is_seen("etc") ? 1 : 0; }), 0)
      << "where there is no folder, the empty one";
}

TEST_F(ShownFilesTest, WorkGoesOnWhereTheRootCannotBeShown) {
  ShownFiles files;
  files.root = folder_ + "/no such folder";
  EXPECT_EQ(look(files, [] { return 0; }), 100);
}

}  // namespace
}  // namespace runhv::platform
