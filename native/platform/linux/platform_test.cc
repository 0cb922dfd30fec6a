#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/file.h"
#include "platform/linux/deny_system_calls.h"
#include "platform/lossy_writer.h"
#include "platform/os_error.h"
#include "platform/process.h"
#include "platform/stream.h"
#include "testing/files.h"

namespace runhv::platform {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class TemporaryFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "runhv-platform-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(path_)); }

  std::string path_;
};

struct Pipe {
  Pipe() {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    reader.reset(ends[0]);
    writer.reset(ends[1]);
  }
  UniqueHandle reader, writer;
};

using LinuxFileTest = TemporaryFolder;

// Whether nobody has a lock on the file: as Java asks, with a lock of a process.
bool can_be_had_alone(const std::string& path) {
  const UniqueHandle file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return ::fcntl(static_cast<int>(file.get()), F_SETLK, &lock) == 0;
}

TEST_F(LinuxFileTest, ALockThatIsSharedKeepsOutWhoWantsTheFileAlone) {
  const std::string path = path_ + "/use";
  auto one = lock_shared(path);
  auto two = lock_shared(path);
  ASSERT_TRUE(one && two);
  UniqueHandle copy(::fcntl(static_cast<int>(two->get()), F_DUPFD_CLOEXEC, 3));
  one->reset();
  two->reset();
  EXPECT_FALSE(can_be_had_alone(path));
  copy.reset();
  EXPECT_TRUE(can_be_had_alone(path));
  EXPECT_FALSE(lock_shared(path_ + "/none/use"));
}

TEST_F(LinuxFileTest, AFileThatIsSharedIsInUseWhileItIsOpen) {
  const std::string path = path_ + "/disk";
  ASSERT_TRUE(testing::write_file(path, as_bytes("hello")));
  {
    const auto file = File::open(path, File::Access::kRead);
    ASSERT_TRUE(file);
    EXPECT_TRUE(can_be_had_alone(path));
    file->share();
    EXPECT_FALSE(can_be_had_alone(path));
  }
  EXPECT_TRUE(can_be_had_alone(path));
}

TEST_F(LinuxFileTest, SaysWhichFileIsMissingAndKeepsErrno) {
  const Error error = File::open(path_ + "/none", File::Access::kRead).error();
  EXPECT_EQ(error.code, Code::kNotFound);
  EXPECT_EQ(error.os_code, ENOENT);
  EXPECT_EQ(error.operation, "open " + path_ + "/none");
}

TEST_F(LinuxFileTest, RefusesAFifoInsteadOfHanging) {
  ASSERT_EQ(::mkfifo((path_ + "/fifo").c_str(), 0600), 0);
  EXPECT_EQ(File::open(path_ + "/fifo", File::Access::kRead).error().code, Code::kInvalidArgument);
}

TEST_F(LinuxFileTest, AnAnonymousDiskKeepsWhatIsWrittenAndHasNoName) {
  const auto disk = File::create_anonymous(path_, 1 << 20);
  ASSERT_TRUE(disk);
  ASSERT_TRUE(disk->write_at(4096, as_bytes("data")));
  std::array<std::byte, 4> back{};
  ASSERT_TRUE(disk->read_at(4096, back));
  EXPECT_EQ(back[0], std::byte{'d'});
  EXPECT_EQ(disk->read_at((1 << 20) - 2, back).error().code, Code::kCorruptInput);
  EXPECT_NE(::rmdir(path_.c_str()), -1) << "the folder holds a file";
  ASSERT_EQ(::mkdir(path_.c_str(), 0700), 0);
}

TEST_F(LinuxFileTest, AFileIsReplacedWholeOrNotAtAll) {
  const std::string path = path_ + "/state.json";
  for (const auto durability : {Durability::kUnsynced, Durability::kSynced}) {
    ASSERT_TRUE(write_file_atomically(path, as_bytes("older and longer"), durability));
    ASSERT_TRUE(write_file_atomically(path, as_bytes("newer"), durability));
    EXPECT_THAT(*read_file(path, 100), SizeIs(5));
  }
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(write_file_atomically(path_ + "/none/x", {}, Durability::kSynced).error().code,
            Code::kNotFound);

  ASSERT_EQ(::mkdir((path_ + "/folder").c_str(), 0700), 0);
  EXPECT_FALSE(write_file_atomically(path_ + "/folder", as_bytes("x"), Durability::kUnsynced));
  ASSERT_EQ(::unlink(path.c_str()), 0);
  ASSERT_EQ(::rmdir((path_ + "/folder").c_str()), 0);
  EXPECT_EQ(::rmdir(path_.c_str()), 0) << "something half made is left behind";
  ASSERT_EQ(::mkdir(path_.c_str(), 0700), 0);
}

TEST_F(LinuxFileTest, AFileThatCannotBeWrittenKeepsWhatItHeld) {
  const std::string path = path_ + "/state.json";
  ASSERT_TRUE(write_file_atomically(path, as_bytes("kept"), Durability::kUnsynced));
  EXPECT_EXIT(
      {
        rlimit limit;
        limit.rlim_cur = limit.rlim_max = 4;
        std::signal(SIGXFSZ, SIG_IGN);
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) std::_Exit(2);
        const auto written = write_file_atomically(path, as_bytes("longer"), Durability::kUnsynced);
        std::_Exit(!written && written.error().os_code == EFBIG ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
  EXPECT_THAT(*read_file(path, 100), SizeIs(4));
}

TEST_F(LinuxFileTest, RemovesATreeWithoutFollowingLinks) {
  ASSERT_EQ(::mkdir((path_ + "/tree").c_str(), 0700), 0);
  ASSERT_TRUE(testing::write_file(path_ + "/kept", as_bytes("x")));
  ASSERT_EQ(::symlink(path_.c_str(), (path_ + "/tree/link").c_str()), 0);
  ASSERT_TRUE(remove_tree(path_ + "/tree"));
  EXPECT_TRUE(file_exists(path_ + "/kept"));
  EXPECT_TRUE(remove_tree(path_ + "/tree")) << "a missing tree is no error";
}

TEST(StreamWithoutLoop, APipeReadsWritesBlocksAndEnds) {
  Pipe pipe;
  auto reader = Stream::adopt(pipe.reader.get(), true);
  auto writer = Stream::adopt(pipe.writer.get(), false);
  ASSERT_TRUE(reader && writer);
  std::array<std::byte, 4096> buffer{};
  EXPECT_EQ(reader->read(buffer).status, IoStatus::kWouldBlock);
  EXPECT_EQ(writer->write(as_bytes("abc")).bytes, 3u);
  EXPECT_EQ(reader->read(buffer).bytes, 3u);
  while (writer->write(buffer).status == IoStatus::kDone) {
  }
  EXPECT_EQ(writer->write(buffer).status, IoStatus::kWouldBlock);
  EXPECT_EQ(::fcntl(static_cast<int>(pipe.writer.get()), F_GETFL) & O_NONBLOCK, 0)
      << "the flags of the shared open file have changed";
}

TEST(StreamWithoutLoop, TellsWhenTheOtherSideHasClosed) {
  std::signal(SIGPIPE, SIG_IGN);
  Pipe first, second;
  auto reader = Stream::adopt(first.reader.get(), true);
  first.writer.reset();
  std::array<std::byte, 8> buffer{};
  EXPECT_EQ(reader->read(buffer).status, IoStatus::kEnd);
  auto writer = Stream::adopt(second.writer.get(), false);
  second.reader.reset();
  EXPECT_EQ(writer->write(as_bytes("x")).status, IoStatus::kEnd);
}

std::string read_some(const UniqueHandle& reader) {
  std::string text(1 << 20, '\0');
  const ssize_t count = ::read(static_cast<int>(reader.get()), text.data(), text.size());
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return text;
}

TEST(LossyWriter, NeverWaitsForAReader) {
  Pipe pipe;
  LossyWriter writer(*Stream::adopt(pipe.writer.get(), false));
  const auto read_all = [&] { return read_some(pipe.reader); };

  // Whole pages: no room is left for a shorter text.
  const std::string line = std::string(4095, 'x') + "\n";
  for (int i = 0; i < 1000; ++i) writer.write(line);
  writer.write("the end\n", 1'000'000);  // and not longer than that
  const std::string held = read_all();
  EXPECT_EQ(held.find_first_not_of("x\n"), std::string::npos);
  EXPECT_EQ(held.size() % line.size(), 0u);
  writer.write("again\n");

  const std::size_t lost = 1000 * line.size() + 8 - held.size();
  EXPECT_EQ(read_all(), "runhv: " + std::to_string(lost) +
                            " bytes of output are lost: nobody read them\nagain\n");
  writer.write("more\n");
  EXPECT_EQ(read_all(), "more\n");
}

TEST(LossyWriter, EveryTextBeginsALine) {
  Pipe pipe;
  LossyWriter writer(*Stream::adopt(pipe.writer.get(), false));
  const auto read_all = [&] { return read_some(pipe.reader); };

  writer.write("what a guest has not ended");
  writer.write("");
  writer.write("runhv: a line\n");
  EXPECT_EQ(read_all(), "what a guest has not ended\nrunhv: a line\n");

  const std::string torn(1 << 20, 'x');
  writer.write(torn);
  const std::string held = read_all();
  writer.write("runhv: another\n");
  EXPECT_EQ(read_all(), "\nrunhv: " + std::to_string(torn.size() - held.size()) +
                            " bytes of output are lost: nobody read them\nrunhv: another\n");
}

TEST(LossyWriter, WaitsForRoomAsLongAsItMay) {
  Pipe pipe;
  LossyWriter writer(*Stream::adopt(pipe.writer.get(), false));
  constexpr std::size_t kSize = 300'000;  // of which a pipe holds 65536
  std::thread slow([&] {
    std::string text(4096, '\0');
    for (std::size_t done = 0; done < kSize;) {
      const ssize_t count = ::read(static_cast<int>(pipe.reader.get()), text.data(), text.size());
      ASSERT_GT(count, 0);
      done += static_cast<std::size_t>(count);
    }
  });
  writer.write(std::string(kSize, 'x'), 60'000'000'000);
  slow.join();
}

TEST(ProcessTest, ACapturedProgramHasALocaleOfItsOwn) {
  ::setenv("LC_ALL", "POSIX", 1);
  const auto captured = run_captured("/bin/sh", {"-c", "echo $LC_ALL $HOME"}, "/", "", 1000);
  ASSERT_TRUE(captured) << to_string(captured.error());
  EXPECT_EQ(captured->output, "C.UTF-8 " + environment("HOME") + "\n");
}

// Opens handles, has all but two closed where `deny` makes the system refuse the call for it, and
// says whether just those are left.
void close_inherited_handles_where(const std::function<void()>& deny) {
  const auto duplicate = [](int at_least) { return ::fcntl(2, F_DUPFD, at_least); };
  const int first = duplicate(20);
  const int second = duplicate(first + 2);
  for (int i = 0; i < 20; ++i) duplicate(3);
  const int high = duplicate(500);
  deny();
  const std::array<OsHandle, 3> keep{second, first, 0};
  if (!close_inherited_handles(keep)) std::_Exit(2);
  for (int file = 0; file <= high; ++file) {
    const bool wanted = file <= 2 || file == first || file == second;
    if ((::fcntl(file, F_GETFD) >= 0) != wanted) std::_Exit(3);
  }
  if (!close_inherited_handles()) std::_Exit(4);
  std::_Exit(::fcntl(first, F_GETFD) < 0 && ::fcntl(2, F_GETFD) >= 0 ? 0 : 5);
}

TEST(ProcessDeathTest, ClosesWhatItInheritedButForWhatItKeeps) {
  EXPECT_EXIT(close_inherited_handles_where([] {}), ::testing::ExitedWithCode(0), "");
}

TEST(ProcessDeathTest, ClosesWhatItInheritedWhereTheCallForItIsMissingOrForbidden) {
  for (const int refusal : {ENOSYS, EPERM}) {
    EXPECT_EXIT(close_inherited_handles_where([&] {
                  if (!deny_system_calls({SYS_close_range}, refusal)) std::_Exit(6);
                }),
                ::testing::ExitedWithCode(0), "");
  }
}

TEST(ProcessDeathTest, SaysThatItCannotCloseWhatItInherited) {
  EXPECT_EXIT(
      {
        if (!deny_system_calls({SYS_close_range}, EPERM)) std::_Exit(2);
        if (!deny_system_calls({SYS_openat}, EACCES)) std::_Exit(3);
        const auto closed = close_inherited_handles();
        std::_Exit(!closed && closed.error().code == Code::kAccessDenied ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(ProcessTest, FeedsInputAndCapturesOutputAndStatus) {
  const std::string input(300'000, 'i');
  const auto echoed = run_captured("/bin/cat", {}, "/", input, 1 << 20);
  ASSERT_TRUE(echoed);
  EXPECT_EQ(echoed->output, input);
  EXPECT_EQ(run_captured("/bin/sh", {"-c", "exit 42"}, "/", "", 10)->exit_status, 42);
  EXPECT_EQ(run_captured("/bin/sh", {"-c", "kill -9 $$"}, "/", "", 10)->exit_status, 137);
  EXPECT_EQ(run_captured("/bin/pwd", {}, "/usr", "", 10)->output, "/usr\n");
}

TEST(ProcessTest, NamesTheProgramThatIsMissingAndLimitsTheAnswer) {
  const auto early = [](const char* script) {
    return run_captured("/bin/sh", {"-c", script}, "/", "", 10, nullptr, "\n{")->early_errors;
  };
  EXPECT_EQ(early("echo one >&2; echo two >&2; exit 1"), "one\ntwo\n");
  EXPECT_EQ(early("echo '# no'; echo one >&2"), "one\n");
  EXPECT_EQ(early("echo; echo held back no longer >&2"), "");
  EXPECT_EQ(run_captured("/no/such", {}, "/", "", 10).error().os_code, ENOENT);
  EXPECT_EQ(run_captured("/bin/cat", {}, "/no/such", "", 10).error().os_code, ENOENT);
  EXPECT_THAT(run_captured("/bin/cat", {}, "/", "12345678901", 10).error().detail,
              HasSubstr("longer than 10 bytes"));
}

TEST(OsErrorTest, MapsTheNumberAndKeepsIt) {
  EXPECT_EQ(os_error("x", ENOSPC).code, Code::kNoSpace);
  EXPECT_EQ(os_error("x", EROFS).code, Code::kAccessDenied);
  EXPECT_EQ(to_string(os_error("open /x", ENOENT)), "open /x: No such file or directory (errno 2)");
}

}  // namespace
}  // namespace runhv::platform
