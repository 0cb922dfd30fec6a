#include "platform/stream.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/file_stream.h"
#include "platform/linux/deny_system_calls.h"
#include "platform/thread.h"
#include "testing/files.h"

namespace runhv::platform {
namespace {

using ::testing::HasSubstr;

// Bytes that differ wherever one is lost, doubled or moved.
std::vector<std::byte> numbered_bytes(std::size_t size) {
  std::vector<std::byte> bytes(size);
  std::uint32_t state = 1;
  for (std::byte& each : bytes) {
    state = state * 1664525 + 1013904223;
    each = static_cast<std::byte>(state >> 24);
  }
  return bytes;
}

// Writes all of `bytes` in pieces of `piece`, each as soon as there is room; then on_done.
template <class Sink>
class Pump {
 public:
  Pump(Sink& sink, std::span<const std::byte> bytes, std::size_t piece, Handler on_done)
      : sink_(sink), rest_(bytes), piece_(piece), on_done_(std::move(on_done)) {}
  void go_on() {
    while (!rest_.empty()) {
      const IoResult result = sink_.write(rest_.first(std::min(piece_, rest_.size())));
      if (result.status == IoStatus::kWouldBlock) return sink_.on_writable([this] { go_on(); });
      ASSERT_EQ(result.status, IoStatus::kDone) << result.os_code;
      rest_ = rest_.subspan(result.bytes);
    }
    on_done_();
  }

 private:
  Sink& sink_;
  std::span<const std::byte> rest_;
  std::size_t piece_;
  Handler on_done_;
};

// Reads up to the end; then on_end.
template <class Source>
class Drain {
 public:
  Drain(Source& source, Handler on_end) : source_(source), on_end_(std::move(on_end)) {}
  void go_on() {
    std::array<std::byte, 5000> buffer;
    while (true) {
      const IoResult result = source_.read(buffer);
      if (result.status == IoStatus::kWouldBlock) return source_.on_readable([this] { go_on(); });
      if (result.status != IoStatus::kDone) {
        EXPECT_EQ(result.status, IoStatus::kEnd) << result.os_code;
        return on_end_();
      }
      bytes_.insert(bytes_.end(), buffer.begin(),
                    buffer.begin() + static_cast<std::ptrdiff_t>(result.bytes));
    }
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  Source& source_;
  Handler on_end_;
  std::vector<std::byte> bytes_;
};

class StreamTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto loop = EventLoop::create();
    ASSERT_TRUE(loop) << to_string(loop.error());
    loop_ = *std::move(loop);
    std::string pattern = ::testing::TempDir() + "runhv-stream-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(folder_)); }

  std::string in_folder(const char* name) const { return folder_ + "/" + name; }
  UniqueHandle open(const std::string& path, int flags) {
    UniqueHandle handle(::open(path.c_str(), flags | O_CLOEXEC, 0600));
    EXPECT_TRUE(handle.is_open()) << path;
    return handle;
  }
  Stream bound(UniqueHandle handle, bool for_reading) {
    auto stream = Stream::adopt_owned(std::move(handle), for_reading);
    EXPECT_TRUE(stream && stream->bind(*loop_));
    return *std::move(stream);
  }
  struct Pipe {
    UniqueHandle reader, writer;
  };
  Pipe make_pipe() {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    return {UniqueHandle(ends[0]), UniqueHandle(ends[1])};
  }

  std::unique_ptr<EventLoop> loop_;
  std::string folder_;
};

TEST(Descriptors, AreForReadingOrForWriting) {
  const auto opened = [](const char* path, int flags) {
    return UniqueHandle(::open(path, flags | O_CLOEXEC));
  };
  const auto refused = [](const UniqueHandle& handle) {
    return to_string(is_for_reading(handle.get()).error());
  };
  EXPECT_TRUE(*is_for_reading(opened("/dev/null", O_RDONLY).get()));
  EXPECT_FALSE(*is_for_reading(opened("/dev/null", O_WRONLY).get()));
  EXPECT_THAT(refused(opened("/dev/null", O_RDWR)), HasSubstr("open for both ways"));
  EXPECT_THAT(refused(opened("/", O_RDONLY | O_DIRECTORY)), HasSubstr("no bytes can be read"));
  EXPECT_THAT(refused(opened("/dev/null", O_PATH)), HasSubstr("no bytes can be read"));
  EXPECT_EQ(is_for_reading(1 << 20).error().os_code, EBADF);
}

TEST_F(StreamTest, APipeIsServedFromOtherThreadsThanTheLoops) {
  Pipe pipe = make_pipe();
  Stream in = bound(std::move(pipe.reader), true);
  auto out = std::make_unique<Stream>(bound(std::move(pipe.writer), false));
  const std::vector<std::byte> bytes = numbered_bytes(1'000'000);
  Drain<Stream> drain(in, [&] { loop_->stop(); });
  Pump<Stream> pump(*out, bytes, 10'007, [&] { loop_->post([&] { out.reset(); }); });

  // As processors do: the first call on another thread, the following on the loop's.
  auto first = Thread::start("first", [&] { pump.go_on(); });
  auto second = Thread::start("second", [&] { drain.go_on(); });
  ASSERT_TRUE(first && second);
  ASSERT_TRUE(loop_->run());
  first->join();
  second->join();

  EXPECT_TRUE(drain.bytes() == bytes);
}

TEST_F(StreamTest, ASocketIsServedInBothDirections) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  auto near = std::make_unique<Stream>(bound(UniqueHandle(ends[0]), false));
  Stream far = bound(UniqueHandle(ends[1]), true);
  const std::vector<std::byte> bytes = numbered_bytes(1'000'000);
  Drain<Stream> drain(far, [&] { loop_->stop(); });
  Pump<Stream> pump(*near, bytes, 100'000, [&] { loop_->post([&] { near.reset(); }); });
  bool answered = false;
  near->on_readable([&] { answered = true; });
  ASSERT_EQ(far.write(as_bytes("x")).status, IoStatus::kDone);

  pump.go_on();
  drain.go_on();
  ASSERT_TRUE(loop_->run());

  EXPECT_TRUE(drain.bytes() == bytes);
  EXPECT_TRUE(answered);
}

TEST_F(StreamTest, OwnsWhatItIsGiven) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueHandle far(ends[1]);
  {
    const auto stream = Stream::adopt_owned(UniqueHandle(ends[0]), true);
    ASSERT_TRUE(stream);
  }
  char byte;
  EXPECT_EQ(::read(ends[1], &byte, 1), 0) << "the other end is still open";
}

TEST_F(StreamTest, AFileGetsEveryByteInOrderWhereItsPositionIs) {
  const std::vector<std::byte> bytes = numbered_bytes(3'000'000);
  UniqueHandle file = open(in_folder("out"), O_RDWR | O_CREAT);
  ASSERT_EQ(::write(static_cast<int>(file.get()), "head", 4), 4);
  Stream out = bound(std::move(file), false);
  EXPECT_EQ(out.flush().status, IoStatus::kDone);
  Pump<Stream> pump(out, bytes, 100'003, [&] { out.on_flushed([&] { loop_->stop(); }); });

  pump.go_on();
  ASSERT_TRUE(loop_->run());

  EXPECT_EQ(out.flush().status, IoStatus::kDone);
  const auto written = read_file(in_folder("out"), 4'000'000);
  ASSERT_TRUE(written);
  ASSERT_EQ(written->size(), 4 + bytes.size());
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), written->begin() + 4));
}

TEST_F(StreamTest, ClosingAFileWaitsForWhatIsPending) {
  const std::vector<std::byte> bytes = numbered_bytes(Stream::kFilePendingBytes);
  Stream out = bound(open(in_folder("out"), O_WRONLY | O_CREAT), false);
  EXPECT_EQ(out.write(bytes).bytes, bytes.size());

  EXPECT_TRUE(out.close(UINT64_MAX));

  EXPECT_TRUE(*read_file(in_folder("out"), 1'000'000) == bytes);
  EXPECT_EQ(out.write(bytes).os_code, EBADF);
}

TEST_F(StreamTest, AFileIsReadAheadToItsEnd) {
  const std::vector<std::byte> bytes = numbered_bytes(1'000'000);
  ASSERT_TRUE(testing::write_file(in_folder("in"), bytes));
  Stream in = bound(open(in_folder("in"), O_RDONLY), true);
  Drain<Stream> drain(in, [&] { loop_->stop(); });

  // A source can be asked before it is read.
  in.on_readable([&] { drain.go_on(); });
  ASSERT_TRUE(loop_->run());

  EXPECT_TRUE(drain.bytes() == bytes);
  std::array<std::byte, 1> buffer;
  EXPECT_EQ(in.read(buffer).status, IoStatus::kEnd);
}

TEST_F(StreamTest, AFileThatNobodyReadsKeepsItsPosition) {
  ASSERT_TRUE(testing::write_file(in_folder("in"), as_bytes("hello")));
  const UniqueHandle file = open(in_folder("in"), O_RDONLY);
  {
    auto in = Stream::adopt(file.get(), true);
    ASSERT_TRUE(in && in->bind(*loop_));
  }
  EXPECT_EQ(::lseek(static_cast<int>(file.get()), 0, SEEK_CUR), 0);
}

TEST_F(StreamTest, AFolderIsAnErrorOfItsRead) {
  Stream in = bound(open(folder_, O_RDONLY | O_DIRECTORY), true);
  std::array<std::byte, 1> buffer;
  in.on_readable([&] { loop_->stop(); });
  ASSERT_TRUE(loop_->run());
  const IoResult result = in.read(buffer);
  EXPECT_EQ(result.status, IoStatus::kFailed);
  EXPECT_EQ(result.os_code, EISDIR);
}

TEST_F(StreamTest, AFullDiskIsToldByFlushByTheNextWriteAndByClose) {
  auto out = FileStream::create(open("/dev/full", O_WRONLY));
  ASSERT_TRUE(out);
  (*out)->bind(*loop_);
  EXPECT_EQ((*out)->write(as_bytes("x")).status, IoStatus::kDone);
  (*out)->on_flushed([&] { loop_->stop(); });
  ASSERT_TRUE(loop_->run());

  EXPECT_EQ((*out)->flush().os_code, ENOSPC);
  const IoResult next = (*out)->write(as_bytes("x"));
  EXPECT_EQ(next.status, IoStatus::kFailed);
  EXPECT_EQ(next.os_code, ENOSPC);
  bool told = false;
  (*out)->on_writable([&] { told = true; });
  ASSERT_TRUE(loop_->run_once(0));
  EXPECT_TRUE(told);
  const auto closed = (*out)->close(UINT64_MAX);
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().code, Code::kNoSpace);
  EXPECT_EQ(closed.error().os_code, ENOSPC);
}

TEST_F(StreamTest, AFileBeyondTheUsersLimitFailsWithItsNumber) {
  const std::string path = in_folder("limited");
  EXPECT_EXIT(
      {
        rlimit limit;
        limit.rlim_cur = limit.rlim_max = 10;
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) std::_Exit(2);
        std::signal(SIGXFSZ, SIG_DFL);
        Stream out = bound(open(path, O_WRONLY | O_CREAT), false);
        out.write(numbered_bytes(100));
        std::_Exit(out.close(UINT64_MAX).error().os_code == EFBIG ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
  EXPECT_EQ(read_file(path, 100)->size(), 10u) << "what fits is written";
}

// A pipe that is written without O_NONBLOCK is a file whose server does not answer.
TEST_F(StreamTest, AFileThatHangsIsBoundedAndHoldsNobodyUp) {
  const std::vector<std::byte> bytes = numbered_bytes(1'000'000);
  Pipe pipe = make_pipe();
  auto out = FileStream::create(std::move(pipe.writer));
  ASSERT_TRUE(out);
  (*out)->bind(*loop_);
  // Up to the pipe's own room, and what waits for it.
  std::size_t taken = 0;
  while (true) {
    const IoResult result = (*out)->write(std::span(bytes).subspan(taken));
    if (result.status != IoStatus::kDone) {
      ASSERT_EQ(result.status, IoStatus::kWouldBlock);
      break;
    }
    taken += result.bytes;
  }
  EXPECT_GE(taken, Stream::kFilePendingBytes);
  EXPECT_EQ((*out)->flush().status, IoStatus::kWouldBlock);
  (*out)->on_flushed([] { FAIL() << "it is destroyed before"; });

  // What its thread has not begun is dropped when it is left behind.
  pollfd begun{static_cast<int>(pipe.reader.get()), POLLIN, 0};
  ASSERT_EQ(::poll(&begun, 1, -1), 1);
  const auto closed = (*out)->close(monotonic_ns() + 1'000'000);
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().code, Code::kTimedOut);
  EXPECT_THAT(closed.error().detail, HasSubstr("bytes"));
  out->reset();

  // The thread that was left behind goes on when it can, and ends with the last byte.
  std::vector<std::byte> read;
  std::array<std::byte, 4096> buffer;
  ssize_t count;
  while ((count = ::read(static_cast<int>(pipe.reader.get()), buffer.data(), buffer.size())) > 0) {
    read.insert(read.end(), buffer.begin(), buffer.begin() + count);
  }
  EXPECT_EQ(read.size(), taken);
  EXPECT_TRUE(std::equal(read.begin(), read.end(), bytes.begin()));
  ASSERT_TRUE(loop_->run_once(0));
}

TEST_F(StreamTest, AReadThatHangsHoldsNobodyUp) {
  Pipe pipe = make_pipe();
  auto in = FileStream::create(std::move(pipe.reader));
  ASSERT_TRUE(in);
  (*in)->bind(*loop_);
  std::array<std::byte, 1> buffer;
  EXPECT_EQ((*in)->read(buffer).status, IoStatus::kWouldBlock);
  (*in)->on_readable([] { FAIL() << "it is destroyed before"; });
  in->reset();
  pipe.writer.reset();
  ASSERT_TRUE(loop_->run_once(0));
}

TEST_F(StreamTest, AFilesHandlerIsSilentOnceTheFileIsDestroyed) {
  auto out = std::make_unique<Stream>(bound(open(in_folder("out"), O_WRONLY | O_CREAT), false));
  out->on_writable([] { FAIL() << "it is destroyed before"; });
  out.reset();
  ASSERT_TRUE(loop_->run_once(0));

  auto first = std::make_unique<Stream>(bound(open(in_folder("out"), O_WRONLY), false));
  int calls = 0;
  first->on_writable([&] {
    ++calls;
    first.reset();
  });
  first->on_flushed([&] {
    ++calls;
    first.reset();
  });
  ASSERT_TRUE(loop_->run_once(0));
  EXPECT_EQ(calls, 1);
}

TEST_F(StreamTest, AMovedStreamIsServed) {
  Pipe pipe = make_pipe();
  Stream in = bound(std::move(pipe.reader), true);
  bool readable = false;
  in.on_readable([&] { readable = true; });
  const auto moved = std::make_unique<Stream>(std::move(in));
  ASSERT_EQ(::write(static_cast<int>(pipe.writer.get()), "x", 1), 1);
  ASSERT_TRUE(loop_->run_once(0));
  EXPECT_TRUE(readable);
  std::array<std::byte, 1> buffer;
  EXPECT_EQ(moved->read(buffer).bytes, 1u);

  Pipe other = make_pipe();
  *moved = bound(std::move(other.reader), true);
  moved->on_readable([&] { readable = false; });
  other.writer.reset();
  ASSERT_TRUE(loop_->run_once(0));
  EXPECT_FALSE(readable);
}

TEST_F(StreamTest, ARefusedThreadIsAnErrorOfBind) {
  const std::string path = in_folder("out");
  EXPECT_EXIT(
      {
        auto out = Stream::adopt_owned(open(path, O_WRONLY | O_CREAT), false);
        if (!deny_system_calls({SYS_clone, SYS_clone3}, EAGAIN)) std::_Exit(2);
        const auto bind = out->bind(*loop_);
        std::_Exit(!bind && bind.error().code == Code::kOutOfMemory ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace runhv::platform
