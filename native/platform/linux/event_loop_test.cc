#include "platform/event_loop.h"

#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/clock.h"
#include "platform/event.h"
#include "platform/linux/deny_system_calls.h"
#include "platform/process.h"
#include "platform/readiness.h"
#include "platform/signals.h"
#include "platform/thread.h"

namespace runhv::platform {
namespace {

using ::testing::ElementsAre;

class LinuxEventLoopTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto loop = EventLoop::create();
    ASSERT_TRUE(loop) << to_string(loop.error());
    loop_ = *std::move(loop);
  }
  // Serves what has happened, and waits for nothing.
  void serve() { ASSERT_TRUE(loop_->run_once(0)); }

  std::unique_ptr<EventLoop> loop_;
};

// A pipe of which both ends are sources.
struct WatchedPipe {
  explicit WatchedPipe(EventLoop& loop) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    reader.reset(ends[0]);
    writer.reset(ends[1]);
    EXPECT_TRUE(readable.bind(loop, reader.get()));
    EXPECT_TRUE(writable.bind(loop, writer.get()));
  }
  void put() { EXPECT_EQ(::write(static_cast<int>(writer.get()), "x", 1), 1); }
  void take() {
    char byte;
    EXPECT_EQ(::read(static_cast<int>(reader.get()), &byte, 1), 1);
  }
  UniqueHandle reader, writer;
  Readiness readable, writable;
};

TEST_F(LinuxEventLoopTest, OneDirectionGoesOnWaitingWhenTheOtherIsServed) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueHandle near(ends[0]), far(ends[1]);
  Readiness readiness;
  ASSERT_TRUE(readiness.bind(*loop_, near.get()));
  std::vector<std::string> calls;
  readiness.on_readable([&] { calls.emplace_back("readable"); });
  readiness.on_writable([&] { calls.emplace_back("writable"); });

  serve();
  EXPECT_THAT(calls, ElementsAre("writable"));
  ASSERT_EQ(::write(static_cast<int>(far.get()), "x", 1), 1);
  serve();
  EXPECT_THAT(calls, ElementsAre("writable", "readable"));
}

TEST_F(LinuxEventLoopTest, ThePeersEndIsToldToWhoAsksAndMakesNobodySpin) {
  WatchedPipe pipe(*loop_), other(*loop_);
  pipe.writable = Readiness();
  pipe.writer.reset();
  other.readable = Readiness();
  other.reader.reset();
  // Nobody has asked: were it reported again and again, the wait would not reach its deadline.
  for (int i = 0; i < 3; ++i) serve();
  const std::uint64_t deadline_ns = monotonic_ns() + 1'000'000;
  ASSERT_TRUE(loop_->run_once(deadline_ns));
  EXPECT_GE(monotonic_ns(), deadline_ns);

  bool reader_knows = false, writer_knows = false;
  pipe.readable.on_readable([&] { reader_knows = true; });
  other.writable.on_writable([&] { writer_knows = true; });
  serve();
  EXPECT_TRUE(reader_knows);
  EXPECT_TRUE(writer_knows);
}

TEST_F(LinuxEventLoopTest, WhatTheSystemCannotWatchIsAlwaysReady) {
  const UniqueHandle null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  Readiness readiness;
  ASSERT_TRUE(readiness.bind(*loop_, null.get()));
  int calls = 0;
  readiness.on_readable([&] { ++calls; });
  readiness.on_writable([&] { ++calls; });
  serve();
  serve();
  EXPECT_EQ(calls, 2);

  readiness.on_readable([&] { ++calls; });
  readiness = Readiness();
  serve();
  EXPECT_EQ(calls, 2);
}

TEST_F(LinuxEventLoopTest, TellsTheEndOfAProcess) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueHandle reader(ends[0]);
  UniqueHandle lifeline(ends[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    lifeline.reset();
    char byte;
    ::_exit(static_cast<int>(::read(static_cast<int>(reader.get()), &byte, 1)));
  }
  auto end = ProcessEnd::watch(static_cast<std::uint64_t>(child));
  ASSERT_TRUE(end && end->bind(*loop_));
  bool ended = false;
  end->on_end([&] {
    ended = true;
    loop_->stop();
  });
  serve();
  EXPECT_FALSE(ended);

  lifeline.reset();
  ASSERT_TRUE(loop_->run());

  EXPECT_TRUE(ended);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(ProcessEnd::watch(static_cast<std::uint64_t>(child)).error().code, Code::kNotFound);
}

TEST(EventLoopDeathTest, SaysWhereAProcessCannotBeWatched) {
  EXPECT_EXIT(
      {
        if (!deny_system_calls({SYS_pidfd_open}, ENOSYS)) std::_Exit(2);
        const auto end = ProcessEnd::watch(1);
        std::_Exit(!end && end.error().code == Code::kUnsupported ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(EventLoopDeathTest, IsAnErrorWhereNoHandleIsLeft) {
  EXPECT_EXIT(
      {
        // One of the three that it takes.
        const int next = ::dup(2);
        const auto most = static_cast<rlim_t>(next) + 1;
        rlimit limit;
        limit.rlim_cur = limit.rlim_max = most;
        ::close(next);
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) std::_Exit(2);
        const auto loop = EventLoop::create();
        std::_Exit(!loop && loop.error().os_code == EMFILE ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(EventLoopDeathTest, ServesTheSignalsOfTheProcess) {
  EXPECT_EXIT(
      {
        auto loop = EventLoop::create();
        auto signals = SignalQueue::create();
        if (!loop || !signals || !(*signals)->bind(**loop)) std::_Exit(2);
        std::vector<int> seen;
        (*signals)->on_signal([&] {
          while (const auto signal = (*signals)->next()) seen.push_back(*signal);
          (*loop)->stop();
        });
        ::kill(::getpid(), SIGWINCH);
        ::kill(::getpid(), SIGTERM);
        if (!(*loop)->run()) std::_Exit(3);
        std::_Exit(seen == std::vector({SIGTERM, SIGWINCH}) ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace runhv::platform
