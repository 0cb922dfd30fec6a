#include "platform/thread.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/clock.h"
#include "platform/handle.h"
#include "platform/linux/deny_system_calls.h"
#include "platform/linux/forwarded_signals.h"
#include "platform/worker.h"

namespace runhv::platform {
namespace {

using ::testing::ElementsAre;

constexpr std::uint64_t kSecond = 1'000'000'000;

// What a thread hangs in: a read that nothing but open_gate() ends.
class Gate {
 public:
  Gate() : file_(::eventfd(0, EFD_CLOEXEC)) {}
  void wait() {
    std::uint64_t value = 0;
    EXPECT_EQ(::read(static_cast<int>(file_.get()), &value, sizeof value),
              static_cast<ssize_t>(sizeof value));
  }
  void open() {
    const std::uint64_t one = 1;
    EXPECT_EQ(::write(static_cast<int>(file_.get()), &one, sizeof one),
              static_cast<ssize_t>(sizeof one));
  }

 private:
  UniqueHandle file_;
};

// Makes the calling process such that no thread can be started.
void refuse_threads() {
  if (!deny_system_calls({SYS_clone, SYS_clone3}, EAGAIN)) std::_Exit(2);
}

TEST(ThreadTest, RunsItsWorkUnderItsName) {
  std::array<char, 16> name{};

  auto thread = Thread::start("a-name-that-is-too-long",
                              [&] { ::pthread_getname_np(::pthread_self(), name.data(), 16); });
  ASSERT_TRUE(thread);
  thread->join();

  EXPECT_STREQ(name.data(), "a-name-that-is-");
}

TEST(ThreadTest, HasTheSignalsOfTheProcessBlocked) {
  sigset_t before, within, after;
  ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, nullptr, &before), 0);

  auto thread = Thread::start("t", [&] { ::pthread_sigmask(SIG_SETMASK, nullptr, &within); });
  ASSERT_TRUE(thread);
  thread->join();

  for (const int signal : kForwardedSignals) EXPECT_EQ(sigismember(&within, signal), 1) << signal;
  EXPECT_EQ(sigismember(&within, SIGPIPE), 1);
  EXPECT_EQ(sigismember(&within, SIGXFSZ), 1);
  ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, nullptr, &after), 0);
  for (int signal = 1; signal < 32; ++signal) {
    EXPECT_EQ(sigismember(&before, signal), sigismember(&after, signal)) << signal;
  }
}

// What an embedder's process has: the default disposition of both signals.
TEST(ThreadDeathTest, AWriteWithoutAReaderOrBeyondTheLimitDoesNotEndTheProcess) {
  EXPECT_EXIT(
      {
        std::signal(SIGPIPE, SIG_DFL);
        std::signal(SIGXFSZ, SIG_DFL);
        auto thread = Thread::start("t", [] {
          int ends[2];
          if (::pipe(ends) != 0) std::_Exit(1);
          ::close(ends[0]);
          if (::write(ends[1], "x", 1) != -1 || errno != EPIPE) std::_Exit(2);
          const rlimit nothing{0, 0};
          if (::setrlimit(RLIMIT_FSIZE, &nothing) != 0) std::_Exit(3);
          std::FILE* file = std::tmpfile();
          if (::write(::fileno(file), "x", 1) != -1 || errno != EFBIG) std::_Exit(4);
        });
        thread->join();
        std::_Exit(0);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(ThreadDeathTest, ARefusedThreadIsAnErrorThatSaysWhatToDo) {
  EXPECT_EXIT(
      {
        refuse_threads();
        auto thread = Thread::start("vcpu0", [] {});
        const auto worker = Worker::create("disk");
        if (thread || worker) std::_Exit(1);
        if (thread.error().code != Code::kOutOfMemory) std::_Exit(3);
        std::fputs((to_string(thread.error()) + "\n" + to_string(worker.error())).c_str(), stderr);
        std::_Exit(0);
      },
      ::testing::ExitedWithCode(0),
      "start thread vcpu0: .*pids.max .errno 11.\nstart thread disk: ");
}

TEST(WorkerTest, RunsJobsInTheirOrderOnItsThread) {
  std::vector<int> order;
  Gate done;
  auto worker = Worker::create("worker");
  ASSERT_TRUE(worker);

  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE((*worker)->post([&order, i] { order.push_back(i); }));
  }
  EXPECT_TRUE((*worker)->post([&] {
    (*worker)->post([&] { done.open(); });  // also from its own thread
  }));
  done.wait();

  EXPECT_THAT(order, ElementsAre(0, 1, 2));
  EXPECT_TRUE((*worker)->stop(monotonic_ns() + 60 * kSecond));
  EXPECT_FALSE((*worker)->post([] { FAIL(); }));
}

TEST(WorkerTest, StopDropsWhatHasNotBegunAndWaitsForTheRunningJob) {
  Gate begun, go_on;
  bool finished = false;
  auto worker = Worker::create("worker");
  ASSERT_TRUE(worker);
  (*worker)->post([&] {
    begun.open();
    go_on.wait();
    finished = true;
  });
  const auto open = [&](int* number) {
    delete number;
    go_on.open();
  };
  (*worker)->post([kept = std::shared_ptr<int>(new int(1), open)] { FAIL() << *kept; });
  begun.wait();

  EXPECT_TRUE((*worker)->stop(monotonic_ns() + 60 * kSecond));

  EXPECT_TRUE(finished);
}

TEST(WorkerTest, AJobThatHangsIsAbandonedAndKeepsWhatItOwns) {
  struct Owned {
    Gate begun, go_on, ended;
  };
  auto owned = std::make_shared<Owned>();
  auto worker = Worker::create("worker");
  ASSERT_TRUE(worker);
  (*worker)->post([owned] {
    owned->begun.open();
    owned->go_on.wait();
    owned->ended.open();
  });
  owned->begun.wait();

  EXPECT_FALSE((*worker)->stop(monotonic_ns() + 1'000'000));
  worker->reset();

  owned->go_on.open();
  owned->ended.wait();
}

TEST(WorkerTest, ItsEndWaitsForTheRunningJob) {
  Gate begun, go_on;
  bool finished = false;
  auto worker = Worker::create("worker");
  ASSERT_TRUE(worker);
  (*worker)->post([&] {
    begun.open();
    go_on.wait();
    finished = true;
  });
  begun.wait();

  auto opener = Thread::start("opener", [&] { go_on.open(); });
  ASSERT_TRUE(opener);
  worker->reset();
  opener->join();

  EXPECT_TRUE(finished);
}

TEST(WorkerTest, RunsAsManyJobsAtOnceAsItMayHaveThreads) {
  Gate first, second, done;
  auto worker = Worker::create("worker", 2);
  ASSERT_TRUE(worker);
  // Each waits for the other.
  (*worker)->post([&] {
    first.open();
    second.wait();
  });
  (*worker)->post([&] {
    first.wait();
    second.open();
    done.open();
  });
  done.wait();

  EXPECT_TRUE((*worker)->stop(monotonic_ns() + 60 * kSecond));
}

}  // namespace
}  // namespace runhv::platform
