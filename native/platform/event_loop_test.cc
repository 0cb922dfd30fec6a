#include "platform/event_loop.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/clock.h"
#include "platform/event.h"
#include "platform/thread.h"

namespace runhv::platform {
namespace {

using ::testing::ElementsAre;

class EventLoopTest : public ::testing::Test {
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

// An event that is a source.
struct Flag {
  explicit Flag(EventLoop& loop) : event(*Event::create()) { EXPECT_TRUE(event.bind(loop)); }
  void put() { event.set(); }
  void take() { event.clear(); }
  Event event;
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
  Flag flag(*loop_);
  int calls = 0;
  flag.event.on_set([&] { ++calls; });
  serve();
  EXPECT_EQ(calls, 0);

  flag.put();
  serve();
  serve();
  EXPECT_EQ(calls, 1);

  // What is ready already is told as well.
  flag.event.on_set([&] { ++calls; });
  serve();
  EXPECT_EQ(calls, 2);

  flag.event.on_set([&] { ++calls; });
  flag.event.on_set({});
  serve();
  EXPECT_EQ(calls, 2);
}

TEST_F(EventLoopTest, AHandlerMayAskAgain) {
  Flag flag(*loop_);
  int calls = 0;
  const Handler handler = [&] {
    ++calls;
    flag.take();
    flag.event.on_set([&] { ++calls; });
  };
  flag.event.on_set(handler);

  flag.put();
  serve();
  serve();
  EXPECT_EQ(calls, 1);
  flag.put();
  serve();
  EXPECT_EQ(calls, 2);
}

TEST_F(EventLoopTest, WhatIsClearBeforeTheLoopLooksIsNotTold) {
  Flag flag(*loop_);
  int calls = 0;
  int told = 0;
  for (int round = 0; round < 1000; ++round) {
    // Whoever tells of it has begun, or not.
    flag.event.on_set([&] { ++calls; });
    flag.put();
    flag.take();
    serve();
    EXPECT_EQ(calls, told);
    flag.put();
    serve();
    EXPECT_EQ(calls, ++told);
    flag.take();
  }
}

TEST_F(EventLoopTest, AHandlerMayDestroyItsOwnAndOtherSources) {
  auto first = std::make_unique<Flag>(*loop_);
  auto second = std::make_unique<Flag>(*loop_);
  std::vector<std::string> calls;
  // Both are ready: whichever comes first ends both, itself in the midst of its handler.
  const auto end_both = [&, owned = std::string(100, 'x')] {
    first.reset();
    second.reset();
    calls.push_back(owned);
  };
  for (auto* flag : {first.get(), second.get()}) {
    flag->put();
    flag->event.on_set(end_both);
  }

  serve();
  serve();

  EXPECT_THAT(calls, ElementsAre(std::string(100, 'x')));
}

// A destroyed source's handle may be a new one's at once.
TEST_F(EventLoopTest, AnEventOfADestroyedSourceIsNotTakenForTheNextOnes) {
  auto first = std::make_unique<Flag>(*loop_);
  auto second = std::make_unique<Flag>(*loop_);
  std::unique_ptr<Flag> next;
  int wrong = 0;
  const auto replace = [&] {
    if (next != nullptr) return;
    first.reset();
    second.reset();
    next = std::make_unique<Flag>(*loop_);
    next->event.on_set([&] { ++wrong; });
  };
  for (auto* flag : {first.get(), second.get()}) {
    flag->put();
    flag->event.on_set(replace);
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
    Flag flag(*loop_);
    flag.event.on_set([calls] { ++*calls; });
    flag.put();
    Timer timer(*loop_, [calls] { ++*calls; });
    timer.set(monotonic_ns());
  }
  // A source that stays is served, so the loop has not lost its way.
  Flag flag(*loop_);
  flag.event.on_set([&] { loop_->stop(); });
  flag.put();
  runner->join();
  EXPECT_LE(*calls, 600);
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
  Flag flag(*loop_);
  flag.put();
  std::optional<Timer> again;
  again.emplace(*loop_, [&] { again->set(0); });
  again->set(0);
  flag.event.on_set([&] { loop_->stop(); });
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
  Flag flag(*loop_);
  flag.event.on_set([owned] { FAIL(); });
  Timer timer(*loop_, [owned] { FAIL(); });
  loop_->post([owned = std::move(owned)] { FAIL(); });

  loop_.reset();

  EXPECT_TRUE(watched.expired()) << "what the handlers own has ended with the loop";
  flag.event.on_set([] { FAIL(); });
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

TEST_F(EventLoopTest, AWaitLastsUntilItsDeadlineAndNoEvent) {
  Flag flag(*loop_);
  flag.event.on_set([] { FAIL() << "nobody has set it"; });
  const std::uint64_t deadline_ns = monotonic_ns() + 5'000'000;
  ASSERT_TRUE(loop_->run_once(deadline_ns));
  EXPECT_GE(monotonic_ns(), deadline_ns);
}

// More than a call of Windows can wait for at once.
TEST_F(EventLoopTest, HundredsOfSourcesAreServed) {
  std::vector<std::unique_ptr<Flag>> flags;
  int calls = 0;
  for (int i = 0; i < 300; ++i) {
    flags.push_back(std::make_unique<Flag>(*loop_));
    flags.back()->event.on_set([&] {
      if (++calls == 300) loop_->stop();
    });
  }
  auto setter = Thread::start("setter", [&] {
    for (const auto& flag : flags) flag->put();
  });
  ASSERT_TRUE(setter);
  ASSERT_TRUE(loop_->run());
  setter->join();
  EXPECT_EQ(calls, 300);
}

}  // namespace
}  // namespace runhv::platform
