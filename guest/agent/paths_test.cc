#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "copy_up.h"

namespace runhv::agent {
namespace {

namespace fs = std::filesystem;

class PathsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "agent-paths-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    base = name;
    fs::create_directory(base / "root");
    fs::create_directory(base / "outside");
  }
  void TearDown() override {
    std::error_code ignored;
    fs::remove_all(base, ignored);
  }

  // Runs `act` in a process whose root is base/root, and returns its result. The kernel lets an
  // ordinary user change the root in a user namespace; where it does not, the test is skipped.
  bool inside(const std::function<long()>& act, long& result) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      const std::string root = (base / "root").string();
      const bool entered = (chroot(root.c_str()) == 0 ||
                            (unshare(CLONE_NEWUSER) == 0 && chroot(root.c_str()) == 0)) &&
                           chdir("/") == 0;
      if (!entered) _exit(1);
      const long value = act();
      _exit(write(ends[1], &value, sizeof value) == sizeof value ? 0 : 1);
    }
    close(ends[1]);
    const bool ran = read(ends[0], &result, sizeof result) == sizeof result;
    close(ends[0]);
    waitpid(child, nullptr, 0);
    return ran;
  }

  fs::path base;
};

#define RUN_INSIDE(result, ...)                                                    \
  long result = 0;                                                                 \
  if (!inside(__VA_ARGS__, result)) {                                              \
    GTEST_SKIP() << "neither root nor user namespaces: no way to change the root"; \
  }

TEST_F(PathsTest, MakesWhatIsMissing) {
  RUN_INSIDE(result, [] { return make_directories("/a/b/c"); });
  EXPECT_EQ(result, 0);
  EXPECT_TRUE(fs::is_directory(base / "root/a/b/c"));
}

TEST_F(PathsTest, LinksStayInsideTheRoot) {
  // On the host each of these leads outside; inside, "/" is the container's.
  fs::create_symlink((base / "outside").string(), base / "root/absolute");
  fs::create_symlink("../../../../../../outside2", base / "root/relative");
  RUN_INSIDE(result, [] {
    const long first = make_directories("/absolute/x");
    return first != 0 ? first : make_directories("/relative/y");
  });
  EXPECT_EQ(result, 0);
  EXPECT_TRUE(fs::is_empty(base / "outside"));
  EXPECT_TRUE(fs::is_directory((base / "root").string() + (base / "outside/x").string()));
  EXPECT_TRUE(fs::is_directory(base / "root/outside2/y"));
}

TEST_F(PathsTest, LinkToNowhereIsFollowed) {
  fs::create_directory(base / "root/var");
  fs::create_symlink("../run/lock", base / "root/var/lock");
  RUN_INSIDE(result, [] { return make_directories("/var/lock/apache"); });
  EXPECT_EQ(result, 0);
  EXPECT_TRUE(fs::is_directory(base / "root/run/lock/apache"));
}

TEST_F(PathsTest, AFileIsMadeWhereALinkLeads) {
  fs::create_directory(base / "root/etc");
  fs::create_symlink("../run/resolve/stub", base / "root/etc/resolv.conf");
  RUN_INSIDE(result, [] { return make_empty_file("/etc/resolv.conf"); });
  EXPECT_EQ(result, 0);
  EXPECT_TRUE(fs::is_symlink(base / "root/etc/resolv.conf"));
  EXPECT_TRUE(fs::is_regular_file(base / "root/run/resolve/stub"));
  RUN_INSIDE(deep, [] { return make_empty_file("/srv/a/b"); });
  EXPECT_EQ(deep, 0);
  EXPECT_TRUE(fs::is_regular_file(base / "root/srv/a/b"));
  fs::create_symlink("/x/b", base / "root/a");
  fs::create_directory(base / "root/x");
  fs::create_symlink("/y/../a", base / "root/x/b");
  RUN_INSIDE(loop, [] { return make_empty_file("/a"); });
  EXPECT_EQ(loop, -ELOOP);
}

TEST_F(PathsTest, LoopsAndFilesAreErrors) {
  fs::create_symlink("b", base / "root/a");
  fs::create_symlink("a", base / "root/b");
  std::ofstream(base / "root/file") << "x";
  RUN_INSIDE(loop, [] { return make_directories("/a/c"); });
  EXPECT_EQ(loop, -ELOOP);
  RUN_INSIDE(file, [] { return make_directories("/file"); });
  EXPECT_EQ(file, -ENOTDIR);
  RUN_INSIDE(below, [] { return make_directories("/file/x"); });
  EXPECT_EQ(below, -ENOTDIR);
  RUN_INSIDE(longest, [] { return make_directories(std::string(5000, '/').c_str()); });
  EXPECT_EQ(longest, -ENAMETOOLONG);
}

TEST_F(PathsTest, NodesAreMadeOrKept) {
  RUN_INSIDE(made, [] { return make_node("/run/fifo", S_IFIFO | 0600, 0, 0, 0, 0); });
  EXPECT_EQ(made, 0);
  EXPECT_TRUE(fs::is_fifo(base / "root/run/fifo"));
  RUN_INSIDE(kept, [] { return make_node("/run/fifo", S_IFIFO | 0600, 0, 0, 0, 0); });
  EXPECT_EQ(kept, 0);
  std::ofstream(base / "root/run/file") << "x";
  RUN_INSIDE(other, [] { return make_node("/run/file", S_IFIFO | 0600, 0, 0, 0, 0); });
  EXPECT_EQ(other, -EEXIST);
}

TEST_F(PathsTest, CopyUpKeepsContentModesAndLinks) {
  const fs::path from = base / "root";
  fs::create_directories(from / "d/e");
  std::ofstream(from / "d/file") << std::string(300'000, 'q');
  fs::permissions(from / "d/file", fs::perms::owner_read | fs::perms::owner_exec);
  fs::create_symlink("file", from / "d/link");
  ASSERT_EQ(mkfifo((from / "d/fifo").c_str(), 0640), 0);
  fs::permissions(from / "d", fs::perms::owner_all);
  const timespec times[2] = {{5, 6}, {7, 8}};
  ASSERT_EQ(utimensat(AT_FDCWD, (from / "d/file").c_str(), times, 0), 0);
  fs::permissions(from, fs::perms::owner_all | fs::perms::group_read);

  const int below = open(from.c_str(), O_RDONLY | O_DIRECTORY);
  const int above = open((base / "outside").c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(copy_tree(below, above), 0);
  close(below);
  close(above);

  const fs::path to = base / "outside";
  EXPECT_EQ(fs::file_size(to / "d/file"), 300'000u);
  EXPECT_EQ(fs::status(to / "d/file").permissions(), fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_EQ(fs::status(to).permissions(), fs::perms::owner_all | fs::perms::group_read);
  EXPECT_EQ(fs::read_symlink(to / "d/link"), "file");
  EXPECT_TRUE(fs::is_fifo(to / "d/fifo"));
  EXPECT_TRUE(fs::is_directory(to / "d/e"));
  struct stat status;
  ASSERT_EQ(stat((to / "d/file").c_str(), &status), 0);
  EXPECT_EQ(status.st_mtim.tv_sec, 7);
  EXPECT_EQ(status.st_mtim.tv_nsec, 8);
}

}  // namespace
}  // namespace runhv::agent
