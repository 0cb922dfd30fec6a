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

using testing::ElementsAre;

class EventLoopTest : public testing::Test {
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

TEST_F(EventLoopTest, RunsWhatOtherThreadsPostInTheirOrderUntilItIsStopped) {
  std::vector<int> order;
  bool in_loop = false;
  auto poster = Thread::start("poster", [&] {
    EXPECT_FALSE(loop_->in_loop_thread());
    for (int i = 0; i < 1000; ++i) loop_->post([&order, i] { order.push_back(i); });
    loop_->post([&] {
      in_loop = loop_->in_loop_thread();
      loop_->post([&] { loop_->stop(); });
    });
  });
  ASSERT_TRUE(poster);

  ASSERT_TRUE(loop_->run());
  poster->join();

  ASSERT_EQ(order.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
  EXPECT_TRUE(in_loop);
  EXPECT_FALSE(loop_->in_loop_thread());
}

TEST_F(EventLoopTest, AStopBeforeItsRunEndsTheRun) {
  loop_->stop();
  ASSERT_TRUE(loop_->run());
  auto stopper = Thread::start("stopper", [&] { loop_->stop(); });
  ASSERT_TRUE(stopper);
  ASSERT_TRUE(loop_->run());
  stopper->join();
}

TEST_F(EventLoopTest, AHandlerRunsOncePerRequest) {
  WatchedPipe pipe(*loop_);
  int calls = 0;
  pipe.readable.on_readable([&] { ++calls; });
  serve();
  EXPECT_EQ(calls, 0);

  pipe.put();
  serve();
  serve();
  EXPECT_EQ(calls, 1);

  // What is ready already is told as well.
  pipe.readable.on_readable([&] { ++calls; });
  serve();
  EXPECT_EQ(calls, 2);

  pipe.readable.on_readable([&] { ++calls; });
  pipe.readable.on_readable({});
  serve();
  EXPECT_EQ(calls, 2);
}

TEST_F(EventLoopTest, AHandlerMayAskAgain) {
  WatchedPipe pipe(*loop_);
  int calls = 0;
  const Handler handler = [&] {
    ++calls;
    pipe.take();
    pipe.readable.on_readable([&] { ++calls; });
  };
  pipe.readable.on_readable(handler);

  pipe.put();
  serve();
  serve();
  EXPECT_EQ(calls, 1);
  pipe.put();
  serve();
  EXPECT_EQ(calls, 2);
}

TEST_F(EventLoopTest, OneDirectionGoesOnWaitingWhenTheOtherIsServed) {
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

TEST_F(EventLoopTest, ThePeersEndIsToldToWhoAsksAndMakesNobodySpin) {
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

TEST_F(EventLoopTest, WhatTheSystemCannotWatchIsAlwaysReady) {
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

TEST_F(EventLoopTest, AHandlerMayDestroyItsOwnAndOtherSources) {
  auto first = std::make_unique<WatchedPipe>(*loop_);
  auto second = std::make_unique<WatchedPipe>(*loop_);
  std::vector<std::string> calls;
  // Both are ready: whichever comes first ends both, itself in the midst of its handler.
  const auto end_both = [&, owned = std::string(100, 'x')] {
    first.reset();
    second.reset();
    calls.push_back(owned);
  };
  for (auto* pipe : {first.get(), second.get()}) {
    pipe->put();
    pipe->readable.on_readable(end_both);
    pipe->writable.on_writable(end_both);
  }

  serve();
  serve();

  EXPECT_THAT(calls, ElementsAre(std::string(100, 'x')));
}

// A destroyed source's handle may be a new one's number at once.
TEST_F(EventLoopTest, AnEventOfADestroyedSourceIsNotTakenForTheNextOnes) {
  auto first = std::make_unique<WatchedPipe>(*loop_);
  auto second = std::make_unique<WatchedPipe>(*loop_);
  std::unique_ptr<WatchedPipe> next;
  int wrong = 0;
  const auto replace = [&] {
    if (next != nullptr) return;
    first.reset();
    second.reset();
    next = std::make_unique<WatchedPipe>(*loop_);
    next->readable.on_readable([&] { ++wrong; });
  };
  for (auto* pipe : {first.get(), second.get()}) {
    pipe->put();
    pipe->readable.on_readable(replace);
  }

  serve();
  serve();

  ASSERT_NE(next, nullptr);
  EXPECT_EQ(wrong, 0);
}

TEST_F(EventLoopTest, SourcesMayBeDestroyedAndArmedOnOtherThreads) {
  auto runner = Thread::start("loop", [&] { EXPECT_TRUE(loop_->run()); });
  ASSERT_TRUE(runner);
  auto calls = std::make_shared<int>(0);
  for (int i = 0; i < 300; ++i) {
    WatchedPipe pipe(*loop_);
    pipe.readable.on_readable([calls] { ++*calls; });
    pipe.writable.on_writable([calls] { ++*calls; });
    pipe.put();
    Timer timer(*loop_, [calls] { ++*calls; });
    timer.set(monotonic_ns());
  }
  // A source that stays is served, so the loop has not lost its way.
  WatchedPipe pipe(*loop_);
  pipe.readable.on_readable([&] { loop_->stop(); });
  pipe.put();
  runner->join();
  EXPECT_LE(*calls, 900);
}

TEST_F(EventLoopTest, TimersRunInTheOrderOfTheirDeadlines) {
  std::vector<int> order;
  const std::uint64_t now = monotonic_ns();
  Timer late(*loop_, [&] {
    order.push_back(2);
    loop_->stop();
  });
  Timer early(*loop_, [&] {
    EXPECT_GE(monotonic_ns(), now + 1'000'000);
    order.push_back(1);
  });
  Timer cancelled(*loop_, [&] { order.push_back(3); });
  Timer moved(*loop_, [&] { order.push_back(4); });
  late.set(now + 2'000'000);
  early.set(now + 1'000'000);
  cancelled.set(now);
  cancelled.cancel();
  moved.set(now);
  moved.set(now + 3600ull * 1'000'000'000);

  ASSERT_TRUE(loop_->run());

  EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST_F(EventLoopTest, ATimerThatIsAlwaysDueLeavesRoomForOthers) {
  WatchedPipe pipe(*loop_);
  pipe.put();
  std::optional<Timer> again;
  again.emplace(*loop_, [&] { again->set(0); });
  again->set(0);
  pipe.readable.on_readable([&] { loop_->stop(); });
  ASSERT_TRUE(loop_->run());
}

TEST_F(EventLoopTest, AHandlerCancelsTimersThatAreDueAsWell) {
  std::vector<int> order;
  std::optional<Timer> first, second, third;
  second.emplace(*loop_, [&] { order.push_back(2); });
  third.emplace(*loop_, [&] { order.push_back(3); });
  first.emplace(*loop_, [&] {
    order.push_back(1);
    first.reset();
    second.reset();
    third->cancel();
  });
  first->set(1);
  second->set(2);
  third->set(3);
  serve();
  serve();
  EXPECT_THAT(order, ElementsAre(1));
}

TEST_F(EventLoopTest, ATimerSetByAnotherThreadEndsALongerWait) {
  Timer hour(*loop_, [] {});
  hour.set(monotonic_ns() + 3600ull * 1'000'000'000);
  Timer soon(*loop_, [&] { loop_->stop(); });
  auto setter = Thread::start("setter", [&] { soon.set(monotonic_ns() + 1'000'000); });
  ASSERT_TRUE(setter);
  ASSERT_TRUE(loop_->run());
  setter->join();
}

TEST_F(EventLoopTest, SourcesAndTimersMayOutliveTheirLoop) {
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = owned;
  WatchedPipe pipe(*loop_);
  pipe.readable.on_readable([owned] { FAIL(); });
  Timer timer(*loop_, [owned] { FAIL(); });
  loop_->post([owned = std::move(owned)] { FAIL(); });

  loop_.reset();

  EXPECT_TRUE(watched.expired()) << "what the handlers own has ended with the loop";
  pipe.readable.on_readable([] { FAIL(); });
  timer.set(0);
}

TEST_F(EventLoopTest, AnEventThatIsSetIsToldEvenWhenItWasSetBefore) {
  auto event = Event::create();
  ASSERT_TRUE(event && event->bind(*loop_));
  int calls = 0;
  event->on_set([&] { ++calls; });
  serve();
  EXPECT_EQ(calls, 0);
  event->set();
  event->set();
  serve();
  EXPECT_EQ(calls, 1);
}

TEST_F(EventLoopTest, TellsTheEndOfAProcess) {
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
      testing::ExitedWithCode(0), "");
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
      testing::ExitedWithCode(0), "");
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
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace runhv::platform
